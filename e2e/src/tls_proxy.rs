//! Proxies that terminate TLS before a signaler, set up as the files in `deploy/` have it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tokio::net::TcpStream;

use crate::{
    process::{Process, free_port, workspace},
    wait::eventually,
    webhook::SelfSigned,
};

/// A running proxy, whose certificate is its own.
pub struct TlsProxy {
    port: u16,
    plain_port: u16,
    dir: PathBuf,
    _process: Process,
    /// Has made the certificate.
    _certificate: SelfSigned,
}

/// What belongs to this machine in a file of `deploy/`, and what takes its place.
type Change<'a> = (&'a str, String);

impl TlsProxy {
    /// Starts nginx before a signaler that listens on an address such as 127.0.0.1:8088.
    pub async fn nginx(dir: &Path, signaler: &str) -> TlsProxy {
        let start = Start::of("nginx", dir).await;
        let (dir, pem) = (start.dir.display(), start.certificate.pem().display().to_string());
        let (port, plain_port) = (start.port, start.plain_port);
        let changes = [
            ("listen 80;", format!("listen 127.0.0.1:{plain_port};")),
            ("listen 443 ssl;", format!("listen 127.0.0.1:{port} ssl;")),
            ("server_name approvals.example.com;", "server_name localhost;".to_owned()),
            ("approvals.example.com$request_uri", format!("localhost:{port}$request_uri")),
            ("/etc/ssl/certs/approvals.example.com.pem", pem.clone()),
            ("/etc/ssl/private/approvals.example.com.key", pem),
            ("server 127.0.0.1:8088;", format!("server {signaler};")),
            ("/var/log/nginx/", format!("{dir}/")),
        ];
        let countersign = start.adapt("nginx.conf", "countersign.conf", &changes);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {dir}/{what};\n"))
            .concat();
        // Compression is Debian's default. The user is for root, whose folders nobody else may read.
        let main = format!(
            "daemon off;\nuser root;\npid {dir}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\ngzip on;\n{temporary}include {};\n}}\n",
            countersign.display()
        );
        let file = start.dir.join("nginx.conf");
        fs::write(&file, main).expect("a writable directory");
        let mut command = Command::new(system_program("nginx"));
        command.args(["-e", "stderr", "-p"]).arg(&start.dir).arg("-c").arg(file);
        start.run(&command).await
    }

    /// Starts Caddy in the same way.
    pub async fn caddy(dir: &Path, signaler: &str) -> TlsProxy {
        let start = Start::of("caddy", dir).await;
        let pem = start.certificate.pem().display().to_string();
        let changes = [
            ("\tlog {", format!("\tadmin off\n\thttp_port {}\n\tlog {{", start.plain_port)),
            (
                "\napprovals.example.com {",
                format!("\nhttps://localhost:{} {{\n\ttls {pem} {pem}", start.port),
            ),
            ("127.0.0.1:8088", signaler.to_owned()),
        ];
        let file = start.adapt("Caddyfile", "Caddyfile", &changes);
        let mut command = Command::new(system_program("caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        start.run(&command).await
    }

    /// Where people reach it.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Where they do so without TLS.
    pub fn plain_url(&self) -> String {
        format!("http://localhost:{}", self.plain_port)
    }

    /// All that it has logged.
    pub fn logs(&self) -> String {
        let files = fs::read_dir(&self.dir).expect("a directory");
        let paths = files.map(|file| file.expect("a file").path());
        let logs = paths.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
        logs.map(|path| fs::read_to_string(path).expect("a readable log")).collect()
    }
}

/// What a proxy needs to start.
struct Start {
    name: &'static str,
    dir: PathBuf,
    port: u16,
    plain_port: u16,
    certificate: SelfSigned,
}

impl Start {
    async fn of(name: &'static str, dir: &Path) -> Start {
        let dir = dir.join(name);
        fs::create_dir(&dir).expect("a writable directory");
        let certificate = SelfSigned::start(&dir).await;
        Start { name, dir, port: free_port(), plain_port: free_port(), certificate }
    }

    /// Copies a file of `deploy/` with these changes, each of which has to be one.
    fn adapt(&self, name: &str, copy: &str, changes: &[Change<'_>]) -> PathBuf {
        let file = workspace().join("deploy").join(name);
        let mut text = fs::read_to_string(file).expect("a file of the deployment");
        for (from, to) in changes {
            assert!(text.contains(from), "deploy/{name} has no {from:?}");
            text = text.replace(from, to);
        }
        let copy = self.dir.join(copy);
        fs::write(&copy, text).expect("a writable directory");
        copy
    }

    async fn run(self, command: &Command) -> TlsProxy {
        let Start { name, dir, port, plain_port, certificate } = self;
        let process = Process::start(name, &dir, command);
        eventually(format!("{name} to serve"), async || {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        TlsProxy { port, plain_port, dir, _process: process, _certificate: certificate }
    }
}

/// Where Debian has servers, which the search path may lack; or on the search path.
fn system_program(name: &str) -> PathBuf {
    let server = Path::new("/usr/sbin").join(name);
    if server.exists() { server } else { name.into() }
}
