from __future__ import annotations

from mmedge.proof.drawing.markup import Markup, element, fold, joined, shortened, table


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "a < b", element("b", "&")) == "<p>a &lt; b<b>&amp;</b></p>"
    assert joined(["<", Markup("<br>")]) == "&lt;<br>"


def test_attributes_are_escaped_and_written_as_browsers_want_them() -> None:
    made = element("rect", x=1.25, y=3.0, class_='"a"', text_anchor="end", rx=None, open=True)
    expected = '<rect x="1.25" y="3" class="&quot;a&quot;" text-anchor="end" open></rect>'
    assert made == expected


def test_a_void_element_has_no_end() -> None:
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    assert element("p", "\ud800") == "<p>?</p>"


def test_numbers_are_set_to_the_right() -> None:
    assert table(("a", "b"), [("x", "1")], numbers=[1]) == (
        '<div class="wide"><table><thead><tr><th>a</th><th class="number">b</th></tr></thead>'
        '<tbody><tr><td>x</td><td class="number">1</td></tr></tbody></table></div>'
    )


def test_a_fold_opens_without_a_script() -> None:
    assert fold("a & b", "c") == "<details><summary>a &amp; b</summary>c</details>"


def test_long_texts_are_cut() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
