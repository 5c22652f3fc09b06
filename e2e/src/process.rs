//! Processes that end with the test that started them, whichever way it ends.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::wait::within;

/// A running program under `supervise.py`, which kills it when this value is dropped and when this
/// process dies.
pub struct Process {
    name: String,
    log: PathBuf,
    pid: u32,
    supervisor: Child,
    signals: Option<ChildStdin>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, or 128 plus the number of the signal that ended it.
    pub code: i32,
    /// How long it took from the request to end.
    pub took: Duration,
}

impl Process {
    /// Starts `command`. What it writes goes to `name.log` in `dir`, behind what is there already.
    ///
    /// It sees no environment variables but those of `command`, `PATH`, and `dir` as its `HOME`
    /// and `TMPDIR`.
    pub fn start(name: &str, dir: &Path, command: &Command) -> Process {
        let log = dir.join(format!("{name}.log"));
        let file = fs::File::options().create(true).append(true).open(&log).expect("a log file");
        let mut supervisor = Command::new(tool("python"));
        supervisor
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/supervise.py"))
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir)
            .env("TMPDIR", dir)
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(command.get_current_dir().unwrap_or(dir))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            // Ctrl-C reaches the tests only; the processes then go in order.
            .process_group(0);
        let mut supervisor =
            supervisor.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let mut pid = String::new();
        BufReader::new(supervisor.stdout.take().expect("a pipe"))
            .read_line(&mut pid)
            .expect("a line");
        let Ok(pid) = pid.trim().parse() else {
            let _ = supervisor.wait();
            panic!("{name} does not start: {}", fs::read_to_string(&log).unwrap_or_default());
        };
        let signals = supervisor.stdin.take();
        Process { name: name.to_owned(), log, pid, supervisor, signals }
    }

    /// The program's own process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Everything that it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of what it has written, for failure messages.
    pub fn recent_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let recent = &lines[lines.len().saturating_sub(40)..];
        format!("---- {} (pid {}) ----\n{}\n", self.name, self.pid, recent.join("\n"))
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(mut self) {
        self.signal("KILL");
        self.exit().await;
    }

    /// Sends SIGTERM and waits for the end.
    pub async fn terminate(mut self) -> Exit {
        self.signal("TERM");
        self.exit().await
    }

    /// Sends SIGHUP, on which a worker reads its rules again.
    pub fn hang_up(&mut self) {
        self.signal("HUP");
    }

    /// Stops its clock, or lets it go on.
    pub fn freeze(&mut self, frozen: bool) {
        self.signal(if frozen { "STOP" } else { "CONT" });
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self) -> Exit {
        let start = Instant::now();
        let what = format!("{} to end\n{}", self.name, self.recent_log());
        let code = within(Duration::from_secs(60), what, async || {
            self.supervisor
                .try_wait()
                .expect("a child of ours")
                .map(|status| status.code().unwrap_or(-1))
        })
        .await;
        Exit { code, took: start.elapsed() }
    }

    fn signal(&mut self, name: &str) {
        let pipe = self.signals.as_mut().expect("open until it is dropped");
        // Where it is gone already there is nobody to tell.
        let _ = writeln!(pipe, "{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.signals.take());
        let _ = self.supervisor.wait();
    }
}

/// A temporary directory that is removed when it is dropped and when this process dies.
pub fn scratch(name: &str) -> TempDir {
    static ALL: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (all, _remover) = ALL.get_or_init(|| {
        let all = tempfile::Builder::new().prefix("countersign-").tempdir();
        let all = all.expect("a temporary directory").keep();
        let mut remover = Command::new(tool("python"));
        remover.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/remove_on_exit.py")).arg(&all);
        let remover = remover.stdin(Stdio::piped()).process_group(0).spawn().expect("Python runs");
        (all, remover)
    });
    tempfile::Builder::new().prefix(name).tempdir_in(all).expect("a temporary directory")
}

/// A TCP port of the loopback interface that nobody uses.
///
/// It lies below the range from which systems take ports for outgoing connections: a client that
/// keeps trying to reach a stopped server there can end up connected to itself.
pub fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 149) as u16 * 100;
    (0..COUNT)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

/// A program of the tests' tools: below `COUNTERSIGN_TEST_TOOLS` or the workspace's `.tools`.
pub fn tool(name: &str) -> PathBuf {
    let tools = env::var_os("COUNTERSIGN_TEST_TOOLS")
        .map(PathBuf::from)
        .unwrap_or_else(|| workspace().join(".tools"));
    let path = tools.join("bin").join(name);
    assert!(
        path.exists(),
        "{} is not there: run scripts/tools, or set COUNTERSIGN_TEST_TOOLS to a directory with \
         bin/temporal and bin/python",
        path.display()
    );
    path
}

/// A binary of the product: where the environment says, such as `COUNTERSIGN_WORKER_BIN` for the
/// worker, or beside the running executable.
pub fn product(name: &str) -> PathBuf {
    let variable = format!("{}_BIN", name.replace('-', "_").to_uppercase());
    let path = env::var_os(&variable).map(PathBuf::from).unwrap_or_else(|| {
        let test = env::current_exe().expect("the running executable");
        let dir = test.parent().expect("a directory");
        let dir = if dir.ends_with("deps") { dir.parent().expect("a directory") } else { dir };
        dir.join(name)
    });
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace`, or set {variable}",
        path.display()
    );
    path
}

/// A program of an older build: `scripts/test-upgrade` makes it, and says where in `COUNTERSIGN_TEST_RELEASE`.
pub fn older(name: &str) -> PathBuf {
    let folder = env::var_os("COUNTERSIGN_TEST_RELEASE");
    PathBuf::from(folder.expect("an older build: make test-upgrade")).join(name)
}

/// The library that fakes the time, from Debian's package `faketime`, if it is there.
pub fn faketime() -> Option<PathBuf> {
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketime.so.1");
    libraries.map(library).find(|path| path.exists())
}

/// The root of the workspace's sources.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}
