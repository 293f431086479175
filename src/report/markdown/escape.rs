//! Names and sentences of any origin for Markdown with GitHub's extensions: they stay text.

/// A name as a code span.
pub(in crate::report) fn code(name: &str) -> String {
    let name = on_one_line(name);
    if name.is_empty() {
        return "-".into();
    }
    let longest = name.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // One space at each end is taken off when there is one at both.
    let apart = |letter: Option<char>| letter.is_some_and(|letter| "` ".contains(letter));
    let pad = if apart(name.chars().next()) || apart(name.chars().last()) { " " } else { "" };
    format!("{fence}{pad}{name}{pad}{fence}")
}

/// Either as a cell of a table, which a bar would end.
pub(in crate::report) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A sentence within a line.
pub(in crate::report) fn prose(sentence: &str) -> String {
    let sentence = on_one_line(sentence);
    let mut text = String::with_capacity(sentence.len());
    let mut before = ' ';
    let mut letters = sentence.chars().peekable();
    while let Some(letter) = letters.next() {
        let after = letters.peek().copied().unwrap_or(' ');
        match letter {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            // Someone who is mentioned is sent a message; an issue gets a link. A space without a width prevents it.
            '@' | '#' if after.is_alphanumeric() => text.extend([letter, '\u{200b}']),
            '_' if before.is_alphanumeric() && after.is_alphanumeric() => text.push(letter),
            ':' if !after.is_whitespace() => text += "\\:",
            '\\' | '`' | '*' | '_' | '[' | ']' | '>' | '~' | '$' | '#' => {
                text.extend(['\\', letter]);
            }
            _ => text.push(letter),
        }
        before = letter;
    }
    text
}

fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_code() {
        for (name, span) in [
            ("pgd", "`pgd`"),
            ("a|b", "`a|b`"),
            ("<b>&amp;*_", "`<b>&amp;*_`"),
            ("a`b``c", "```a`b``c```"),
            ("`", "`` ` ``"),
            (" a ", "`  a  `"),
            ("a\r\nb", "`a  b`"),
            ("", "-"),
        ] {
            assert_eq!(code(name), span);
        }
    }

    #[test]
    fn sentences_are_text() {
        for (sentence, text) in [
            (
                "robust accuracy of 3 samples (0.5 %) - a lot!",
                "robust accuracy of 3 samples (0.5 %) - a lot!",
            ),
            ("see `--grid`: digits_cnn.onnx", "see \\`--grid\\`: digits_cnn.onnx"),
            ("<img src=x> &amp;", "&lt;img src=x\\> &amp;amp;"),
            ("[a](http://b) ![c]", "\\[a\\](http\\://b) !\\[c\\]"),
            ("_a_ **b** ~~c~~ $d$ \\", "\\_a\\_ \\*\\*b\\*\\* \\~\\~c\\~\\~ \\$d\\$ \\\\"),
            ("@all #12 # 1", "@\u{200b}all #\u{200b}12 \\# 1"),
            ("a|b\nc", "a|b c"),
        ] {
            assert_eq!(prose(sentence), text);
        }
    }
}
