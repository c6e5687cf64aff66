//! Tells code from comments, strings and characters.

/// A text in two layers of the same length, line for line.
#[derive(Debug)]
pub(super) struct Masked {
    /// The code: comments are blank, the insides of strings and characters are [`FILLER`].
    pub(super) code: String,
    /// The comments: everything else is blank.
    pub(super) comments: String,
}

/// Stands for what is inside a string. Blanks stay, so an empty line in a string is no code.
const FILLER: u8 = b'_';

impl Masked {
    pub(super) fn new(text: &str) -> Self {
        let mut lexer = Lexer { text: text.as_bytes(), at: 0, code: Vec::new(), notes: Vec::new() };
        while lexer.step() {}
        Self { code: lossless(lexer.code), comments: lossless(lexer.notes) }
    }
}

/// Layers are cut at ASCII bytes only, so each is UTF-8 as the whole was.
fn lossless(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|fault| String::from_utf8_lossy(fault.as_bytes()).into_owned())
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
    notes: Vec<u8>,
}

/// Which layer a byte goes to.
#[derive(Clone, Copy)]
enum Layer {
    Code,
    Comment,
    Inside,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn looking_at(&self, word: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word))
    }

    /// Moves `count` bytes on, writing each to its layer.
    fn take(&mut self, count: usize, layer: Layer) {
        for _ in 0..count {
            let Some(byte) = self.peek(0) else { return };
            self.at += 1;
            let blank = if byte.is_ascii_whitespace() { byte } else { b' ' };
            let (code, note) = match layer {
                Layer::Code => (byte, blank),
                Layer::Comment => (blank, byte),
                Layer::Inside if byte.is_ascii_whitespace() => (byte, byte),
                Layer::Inside => (FILLER, b' '),
            };
            self.code.push(code);
            self.notes.push(note);
        }
    }

    /// Takes one token, or one byte of what is none; false at the end.
    fn step(&mut self) -> bool {
        let Some(byte) = self.peek(0) else { return false };
        match byte {
            b'/' if self.looking_at(b"//") => self.line_comment(),
            b'/' if self.looking_at(b"/*") => self.block_comment(),
            b'"' => self.string(),
            b'\'' => self.quote(),
            b'r' | b'b' | b'c' if self.raw_string() => {}
            _ if is_word(byte) => self.word(),
            _ => self.take(1, Layer::Code),
        }
        true
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.take(1, Layer::Comment);
        }
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.peek(0).is_some() {
            if self.looking_at(b"/*") {
                depth += 1;
                self.take(2, Layer::Comment);
            } else if self.looking_at(b"*/") {
                depth = depth.saturating_sub(1);
                self.take(2, Layer::Comment);
            } else {
                self.take(1, Layer::Comment);
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(1, Layer::Code);
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => return self.take(1, Layer::Code),
                b'\\' => self.take(2, Layer::Inside),
                _ => self.take(1, Layer::Inside),
            }
        }
    }

    /// Takes `r"…"`, `br#"…"#` and their like; false, having taken nothing, when it is a word.
    fn raw_string(&mut self) -> bool {
        let prefix = usize::from(self.peek(0) != Some(b'r'));
        if self.peek(prefix) != Some(b'r') {
            return false;
        }
        let mut hashes = 0;
        while self.peek(prefix + 1 + hashes) == Some(b'#') {
            hashes += 1;
        }
        if self.peek(prefix + 1 + hashes) != Some(b'"') {
            return false;
        }
        self.take(prefix + hashes + 2, Layer::Code);
        let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
        while self.peek(0).is_some() && !self.looking_at(&end) {
            self.take(1, Layer::Inside);
        }
        self.take(end.len(), Layer::Code);
        true
    }

    /// A character literal, or a lifetime's quote.
    fn quote(&mut self) {
        let Some(inside) = self.literal_bytes() else { return self.take(1, Layer::Code) };
        self.take(1, Layer::Code);
        self.take(inside, Layer::Inside);
        self.take(1, Layer::Code);
    }

    /// How many bytes are between these quotes; none when this is a lifetime.
    fn literal_bytes(&self) -> Option<usize> {
        if self.peek(1)? == b'\\' {
            // The escaped byte itself may be a quote: look from the one after it.
            let rest = self.text.get(self.at + 3..)?;
            return rest.iter().position(|byte| *byte == b'\'').map(|idx| idx + 2);
        }
        let rest = self.text.get(self.at + 1..)?;
        let width = rest.iter().skip(1).take_while(|byte| **byte & 0xC0 == 0x80).count() + 1;
        (rest.get(width) == Some(&b'\'')).then_some(width)
    }

    /// A whole identifier or number, so that its last letter is not taken for a string's prefix.
    fn word(&mut self) {
        while self.peek(0).is_some_and(is_word) {
            self.take(1, Layer::Code);
        }
    }
}

/// Bytes of identifiers and numbers; every byte of a character beyond ASCII counts.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Masked::new(text).code
    }

    #[test]
    fn comments_leave_the_code() {
        let masked = Masked::new("a(); // one\n/* two\n/* three */ */ b();");
        assert_eq!(masked.code, "a();       \n      \n               b();");
        assert_eq!(masked.comments, "     // one\n/* two\n/* three */ */     ");
    }

    #[test]
    fn strings_are_filled_and_hide_comments_and_braces() {
        assert_eq!(code(r#"f("{ // \" }", 1)"#), r#"f("_ __ __ _", 1)"#);
        assert_eq!(code(r##"f(r#"a " b"#, br"\", c"x")"##), r##"f(r#"_ _ _"#, br"_", c"_")"##);
    }

    #[test]
    fn characters_are_filled_and_lifetimes_stay() {
        assert_eq!(
            code(r"['{', '\'', '\\', '\u{7b}', 'é', b'}']"),
            r"['_', '__', '__', '______', '__', b'_']"
        );
        assert_eq!(
            code("fn f<'a>(x: &'a str) -> &'static u8"),
            "fn f<'a>(x: &'a str) -> &'static u8"
        );
    }

    #[test]
    fn raw_identifiers_and_words_that_end_in_r_are_no_strings() {
        assert_eq!(code(r#"r#type; var"x" ; "y""#), r#"r#type; var"_" ; "_""#);
    }

    #[test]
    fn lines_stay_where_they_were() {
        let text = "let a = \"one\n\n two\"; // x\nb";
        let masked = Masked::new(text);
        assert_eq!(masked.code.lines().count(), text.lines().count());
        assert_eq!(masked.comments.lines().count(), text.lines().count());
    }

    #[test]
    fn an_open_end_is_no_panic() {
        for text in ["\"", "'", "'\\", "r#\"", "/*", "b'", "'\\'"] {
            assert_eq!(code(text).len(), text.len(), "{text}");
        }
    }
}
