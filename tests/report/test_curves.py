from groot.report.curves import chained, learning_plots


def drawn(log):
    return [name for name, svg, _, _ in learning_plots(log) if svg]


def test_steps_go_on_over_rounds_and_after_a_lost_step():
    rows = [
        {"stage": "round 1", "step": 5},
        {"stage": "round 1", "step": 10},
        {"stage": "round 1"},
        {"stage": "round 2", "step": 0},
        {"stage": "round 2", "step": 5},
    ]
    assert [row["step"] for row in chained(rows)] == [5, 10, 10, 15]


def test_each_stage_has_its_curves():
    log = [{"step": i, "stage": "fit", "loss": 1.0, "eval_f1": 0.5} for i in (1, 2)]
    assert drawn(log) == ["fit-loss", "fit-dev"]
    log += [{"step": i, "stage": "optimise", "loss": 1.0, "rewards/f1/mean": 0.5} for i in (1, 2)]
    assert drawn(log) == ["fit-loss", "fit-dev", "optimise-loss", "optimise-reward"]


def test_one_point_and_what_is_no_number_draw_nothing():
    nan = float("nan")
    odd = [{"step": 1, "stage": "fit", "loss": loss} for loss in (None, "1", nan, 0.5)]
    assert drawn(odd) == []
    assert drawn([]) == []


def test_long_curves_are_thinned():
    log = [{"step": i, "stage": "fit", "loss": i % 7} for i in range(20_000)]
    (svg,) = [svg for _, svg, _, _ in learning_plots(log) if svg]
    assert len(svg) < 40_000
