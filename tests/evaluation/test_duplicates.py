from groot.evaluation.duplicates import are_duplicates, text_key


def test_case_white_space_and_unicode_forms_do_not_count():
    assert text_key(" Caf\u00e9\n noir") == text_key("cafe\u0301 NOIR")
    assert text_key("a b") != text_key("ab")
    assert text_key("") == text_key(" \t")


def test_each_text_is_told_in_order():
    texts = ["one", "two", "ONE", "three"]
    assert are_duplicates(texts, ["three ", "one"]).tolist() == [True, False, True, True]
    assert are_duplicates(texts, []).tolist() == [False] * 4
    assert are_duplicates([], texts).shape == (0,)
