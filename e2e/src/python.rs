//! Programs of others, written in Python, that check what the product does.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::process::{tool, workspace};

/// Runs a Python program of the tools; returns its exit code and what it prints, errors last.
pub(crate) async fn python(program: &str, arguments: &[&str], input: &str) -> (i32, String) {
    python_with(&[], program, arguments, input).await
}

/// The same with these settings, and with the modules of the examples.
pub async fn python_with(
    settings: &[(&str, &str)],
    program: &str,
    arguments: &[&str],
    input: &str,
) -> (i32, String) {
    let mut command = Command::new(tool("python"));
    command.arg("-c").arg(program).args(arguments).envs(settings.iter().copied());
    command.env("PYTHONPATH", workspace().join("examples/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().expect("Python runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("no panic");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&printed).into_owned())
}
