//! Where commands print what they have found.

use std::io::{self, ErrorKind, Write, stdout};

/// Prints a text, with a line break at its end. Who closes the pipe, such as `head`, has read enough.
///
/// # Errors
/// If it cannot be written, such as to a full disk.
pub fn print(text: &str) -> io::Result<()> {
    write(&mut stdout().lock(), text)
}

fn write(output: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(output, "{}", text.trim_end()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_was_closed_is_the_end_and_other_errors_are_told() {
        let mut printed = Vec::new();
        write(&mut printed, "one\ntwo\n\n").expect("written");
        assert_eq!(printed, b"one\ntwo\n");
        assert!(write(&mut Broken(ErrorKind::BrokenPipe), "one").is_ok());
        let full = write(&mut Broken(ErrorKind::StorageFull), "one").expect_err("a full disk");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }
}
