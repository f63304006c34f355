"""The settings of a run, one section per part of the work; each default with its explanation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A group of settings; unknown names are errors, values do not change after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class DataConfig(Section):
    """What is read."""

    train: str | None = Field(None, description="training data: a file, a folder or a benchmark")
    dev: str | None = Field(
        None, description="data that picks the checkpoint; default: the benchmark's, or 1 in 10"
    )
    test: str | None = Field(
        None, description="data that the final numbers come from; default: the benchmark's, or dev"
    )
    test_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="where there is no test set, cut this share of the training texts off as one;"
        " default: the final numbers are of dev, which chose the weights, and are not tested",
    )
    task: Literal["spans", "classes", "text"] | None = Field(
        None, description="what the gold is; default: what the file says"
    )
    format: str | None = Field(
        None, description="columns, parallel, jsonl, csv or datasets; default: found out"
    )
    reader: dict[str, Any] = Field(
        {}, description="settings of the format's reader, such as scheme, tag_column, offset_unit"
    )
    on_bad_lines: Literal["stop", "skip"] = Field(
        "stop", description="a line that cannot be read: stop before training, or count and skip it"
    )
    max_train: int | None = Field(
        None, gt=0, description="use only the first so many training examples"
    )


class ModelConfig(Section):
    """What is trained."""

    name: str | None = Field(
        None,
        description="a Hub name or folder; default: a small model made on the spot, for free text"
        " an encoder-decoder; embedded-causal makes a causal one, and words an aligned labeler",
    )
    label_style: Literal["token", "words"] = Field(
        "token", description="write a label as one new token, or as its words"
    )
    window_words: int = Field(
        64, gt=0, description="longer texts are cut into windows of so many words"
    )
    window_overlap: int = Field(16, ge=0, description="words that neighbouring windows share")
    width: int = Field(128, gt=0, description="embedded model: size of a hidden state")
    encoder_layers: int = Field(3, gt=0, description="embedded model: encoder layers")
    decoder_layers: int = Field(1, gt=0, description="embedded model: decoder layers")
    heads: int = Field(4, gt=0, description="embedded model: attention heads")
    feed_forward: int = Field(512, gt=0, description="embedded model: width of the feed-forward")
    vocabulary_size: int = Field(2000, gt=0, description="embedded model: word pieces at most")
    lora_r: int = Field(0, ge=0, description="rank of LoRA adapters; 0 trains all weights")
    lora_alpha: int = Field(16, gt=0, description="scale of LoRA adapters")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="dropout of LoRA adapters")


class FitConfig(Section):
    """Likelihood training, the first stage."""

    passes: int | None = Field(
        None,
        ge=0,
        description="passes over the training data at most; 0 for a model that is fitted; default:"
        " 1,450,000 words for the embedded model and 600,000 for the model words, but 12 to 40"
        " passes; 5 for any other",
    )
    batch_size: int = Field(32, gt=0, description="examples per step, over all processes")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")
    embedding_rate: float = Field(
        10.0, gt=0, description="embedded model: rate of embeddings and positions, times the rest's"
    )
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps with a rising rate")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this norm")
    dropout: float = Field(0.2, ge=0, lt=1, description="embedded model: dropout once aligned")
    word_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of the input words hidden, once aligned"
    )
    mention_swap: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of the gold spans whose words are swapped with another span's of the"
        " same label",
    )
    word_blend: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the words of swapped mentions that are blended with another word of"
        " the label, so that some are always new",
    )
    word_cuts: float = Field(
        0.1, ge=0, lt=1, description="share of the words that are cut before they are spelled"
    )
    average_decay: float = Field(
        0.998, ge=0, lt=1, description="decay of the average of the weights; 0 keeps the last ones"
    )
    evaluations: int = Field(10, gt=0, description="how often dev is measured, spread evenly")
    selects_on: Literal["metric", "reward", "f1", "log_p_per_token"] | None = Field(
        None,
        description="dev number that picks the fitted weights: metric, reward and f1 as in"
        " optimise.selects_on, or the likelihood of the gold (log_p_per_token); default: metric for"
        " labels, log_p_per_token for free text",
    )
    patience: int = Field(
        4, gt=0, description="stop after so many dev measurements without an improvement"
    )


class OptimiseConfig(Section):
    """Training for the reward, the second stage: rounds of generate, correct, contrast."""

    rounds: int = Field(3, ge=0, description="rounds of fresh candidates; 0 stops after the fit")
    num_candidates: int = Field(8, gt=0, description="candidates that search gives per example")
    candidates_per_round: int = Field(
        14, gt=1, description="candidates per example after correction, gold included"
    )
    candidates_file: str | None = Field(
        None,
        description="a parquet file of candidates with rewards, to train on instead of searching",
    )
    objective: str = Field(
        "pair_margin", description="how candidates are contrasted: a name of groot.objectives"
    )
    objective_settings: dict[str, Any] = Field(
        {}, description="settings of the objective, such as margin: 5.0, by its own names"
    )
    nll_weight: float = Field(1.0, ge=0, description="weight of the likelihood of the gold")
    contrast_weight: float = Field(0.5, ge=0, description="weight of the contrast")
    gold_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the gold's reward in what is learnt; the rest is the reward that the"
        " model itself expects of a candidate",
    )
    deletions: int = Field(
        3, ge=0, description="candidates that leave out one span of the likeliest candidate"
    )
    mention_swap: float = Field(
        0.3, ge=0, le=1, description="fit.mention_swap for the texts that candidates are made of"
    )
    word_dropout: float = Field(
        0.05, ge=0, lt=1, description="fit.word_dropout for the texts that candidates are made of"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout of the model in this stage")
    passes_per_round: int = Field(1, gt=0, description="passes over the data in each round")
    batch_size: int = Field(32, gt=0, description="examples per step, over all processes")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are scaled down to this norm")
    average_decay: float = Field(
        0.99, ge=0, lt=1, description="decay of the average of the weights; 0 keeps the last ones"
    )
    evaluations: int = Field(
        1, gt=0, description="how often dev is measured in each round, spread evenly"
    )
    selects_on: Literal["both", "metric", "reward", "reward_top_k", "f1"] = Field(
        "both",
        description="dev number that picks the weights: the reward's form over the whole set"
        " (metric), its mean at rank 1 (reward), its mean over the top k (reward_top_k), metric +"
        " reward_top_k (both), or f1",
    )
    selection_k: int = Field(
        5, gt=0, description="ranks of dev that reward_top_k and both are a mean over"
    )


class DistilConfig(Section):
    """MBR distillation, the end of the second stage: the model learns to say first what MBR would
    choose among its candidates. The weights are kept where the metric on dev rises."""

    rounds: int = Field(2, ge=0, description="rounds of fresh candidates; 0 leaves this out")
    variations: int = Field(5, gt=0, description="varied texts per training text in each round")
    num_candidates: int = Field(
        14, gt=1, description="candidates that search gives per text, and MBR chooses among"
    )
    gold_weight: float = Field(
        0.3, ge=0, description="weight of the likelihood of the gold; that of MBR's choice is 1"
    )
    contrast_weight: float = Field(
        0.005, ge=0, description="weight of optimise.objective on the expected rewards"
    )
    fitted_share: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="each round but the first starts from the average of the weights and the fitted"
        " ones; the share of the latter",
    )
    learning_rate: float = Field(4e-4, gt=0, description="peak learning rate")
    average_decay: float = Field(
        0.998, ge=0, lt=1, description="decay of the average of the weights; 0 keeps the last ones"
    )


class RewardConfig(Section):
    """What is maximised."""

    specs: list[str] = Field(
        ["f1"],
        min_length=1,
        description="names, package.module:function or file.py:function; name=weight adds up",
    )
    timeout_s: float = Field(30.0, gt=0, description="seconds that one call of your code may take")
    workers: int = Field(1, gt=0, description="processes that run your code")
    on_error: Literal["stop", "skip"] = Field(
        "stop", description="a reward that fails: stop, or leave it missing (never 0)"
    )


class SearchConfig(Section):
    """How candidates are searched."""

    width: int = Field(
        16,
        gt=0,
        description="prefixes kept for the final numbers; at least one more than candidates",
    )
    max_width: int = Field(
        64, gt=0, description="widest search for an example whose top k is not yet certain"
    )
    batch_size: int = Field(64, gt=0, description="examples searched together")


class GenerationConfig(Section):
    """How free text is written; labels are searched instead."""

    max_prompt_tokens: int = Field(
        128,
        gt=0,
        description="tokens that are read of a prompt at most; of a longer one, its end",
    )
    max_new_tokens: int = Field(64, gt=1, description="tokens of a text at most, its end included")
    method: Literal["sample", "beam"] = Field(
        "sample",
        description="how candidates to train on are made; dev and the final numbers are of beams,"
        " which is also how groot predict writes",
    )
    temperature: float = Field(1.0, gt=0, description="temperature that candidates are sampled at")
    top_k: int | None = Field(None, gt=0, description="sample among so many tokens; default: all")
    top_p: float | None = Field(
        None, gt=0, le=1, description="sample among tokens of this probability; default: all"
    )
    decoder_layers: int = Field(4, gt=0, description="embedded generators: decoder layers")


class EvaluationConfig(Section):
    """What is measured."""

    k: int = Field(5, gt=0, description="ranks that are reported")
    mbr_candidates: int = Field(
        16, gt=0, description="candidates among which the highest expected reward is chosen"
    )
    bootstrap_samples: int = Field(
        1000, gt=0, description="resamples for intervals and paired tests"
    )


class OutputConfig(Section):
    """What is written besides the models."""

    checkpoint_every_s: float = Field(
        60.0, ge=0, description="seconds between checkpoints; 0 saves after every step"
    )
    keep_checkpoints: int = Field(2, gt=0, description="checkpoints kept on disk")
    report: bool = Field(True, description="write report.html")


class Config(Section):
    """All settings of a run.

    >>> Config().optimise.objective
    'pair_margin'
    """

    seed: int = Field(1, ge=0, description="order of data, sampling and dropout follow from it")
    threads: int | None = Field(
        None,
        gt=0,
        description="processor threads to use; default: 1 for the embedded models, else torch's"
        " choice",
    )
    data: DataConfig = Field(DataConfig(), description="what is read")
    model: ModelConfig = Field(ModelConfig(), description="what is trained")
    fit: FitConfig = Field(FitConfig(), description="likelihood training")
    optimise: OptimiseConfig = Field(OptimiseConfig(), description="training for the reward")
    distil: DistilConfig = Field(DistilConfig(), description="MBR distillation, its end")
    reward: RewardConfig = Field(RewardConfig(), description="what is maximised")
    search: SearchConfig = Field(SearchConfig(), description="how candidates are searched")
    generation: GenerationConfig = Field(GenerationConfig(), description="how free text is written")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="what is measured")
    output: OutputConfig = Field(OutputConfig(), description="what is written besides the models")

    @model_validator(mode="after")
    def _settings_fit_each_other(self) -> Config:
        mistakes = []
        if self.model.window_overlap >= self.model.window_words:
            mistakes.append(
                f"model.window_overlap: {self.model.window_overlap} must be below"
                f" model.window_words ({self.model.window_words})"
            )
        if self.model.width % self.model.heads:
            mistakes.append(
                f"model.width: {self.model.width} must be a multiple of model.heads"
                f" ({self.model.heads})"
            )
        if self.search.max_width < self.search.width:
            mistakes.append(
                f"search.max_width: {self.search.max_width} is below search.width"
                f" ({self.search.width})"
            )
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self
