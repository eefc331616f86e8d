//! Data sets by name: fetched from a local server that answers as the Hugging Face hub does, into
//! an empty cache, and asked offline afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chartbench::config::{Benchmark, HubData};
use chartbench::hub::{DataSetCopy, DataSetSize, HubOptions, data_set_size, locate_data_set};
use chartbench_core::question::Split;
use serde_json::{Value, json};
use sha1::Digest;
use tempfile::TempDir;

const REPO: &str = "someone/charts";
const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";
const FOLDER: &str = "datasets--someone--charts";
/// Files that a list has on a page.
const PAGE: usize = 3;

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// Large files come with a byte changed.
    Changed,
    /// Large files come by half, then the connection closes.
    Cut,
    /// Large files come by half, then nothing more.
    Stall,
    /// Files are refused without a token.
    Gated,
    /// There is no list with sizes and checksums.
    NoTree,
    /// The list is one page that names itself as the next.
    Endless,
    /// The server takes no ranges.
    NoRanges,
}

/// A server with one data set's repository.
struct Hub {
    address: String,
    /// Method, path and range of every request so far.
    log: Arc<Mutex<Vec<String>>>,
}

/// What a connection's thread answers by.
struct Site {
    address: String,
    files: BTreeMap<String, Vec<u8>>,
    fault: Fault,
    log: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: &BTreeMap<String, Vec<u8>>, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let site = Arc::new(Site {
            address: address.clone(),
            files: files.clone(),
            fault,
            log: Arc::clone(&log),
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let site = Arc::clone(&site);
                std::thread::spawn(move || site.answer(stream));
            }
        });
        Self { address, log }
    }

    fn options(&self, cache: &TempDir) -> HubOptions {
        HubOptions {
            offline: false,
            cache: cache.path().to_owned(),
            endpoint: self.address.clone(),
            retries: 0,
            timeout: Duration::from_secs(20),
        }
    }

    /// The requests whose line has `text` in it.
    fn requests(&self, text: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter()
            .filter(|line| line.contains(text))
            .cloned()
            .collect()
    }
}

impl Site {
    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let header = |name: &str| {
            lines.iter().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            })
        };
        let mut request = lines[0].split(' ');
        let (method, path) = (request.next().unwrap(), request.next().unwrap());
        let begin = header("range").map(|range| {
            let begin = range.trim_start_matches("bytes=").trim_end_matches('-');
            begin.parse::<usize>().unwrap()
        });
        let range = begin
            .map(|begin| format!(" from {begin}"))
            .unwrap_or_default();
        self.log
            .lock()
            .unwrap()
            .push(format!("{method} {path}{range}"));
        let is_authorized = header("authorization").is_some();
        let _ = self.route(&mut stream, method, path, begin, is_authorized);
    }

    fn route(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        begin: Option<usize>,
        is_authorized: bool,
    ) -> std::io::Result<()> {
        let api = format!("/api/datasets/{REPO}");
        if path == format!("{api}/revision/main") || path == format!("{api}/revision/{COMMIT}") {
            let siblings: Vec<Value> = self
                .files
                .keys()
                .map(|name| json!({ "rfilename": name }))
                .collect();
            let info = json!({"sha": COMMIT, "siblings": siblings}).to_string();
            return send(stream, "200 OK", "", info.as_bytes());
        }
        if let Some(query) = path.strip_prefix(&format!("{api}/tree/{COMMIT}?recursive=true")) {
            return self.tree(stream, query);
        }
        if let Some(name) = path.strip_prefix("/cdn/") {
            return self.large(stream, &decoded(name), begin);
        }
        let content = path
            .strip_prefix(&format!("/datasets/{REPO}/resolve/{COMMIT}/"))
            .and_then(|name| self.files.get_key_value(&decoded(name)));
        let Some((name, content)) = content else {
            return send(
                stream,
                "404 Not Found",
                "X-Error-Code: EntryNotFound\r\n",
                b"",
            );
        };
        if self.fault == Fault::Gated && !is_authorized {
            return send(
                stream,
                "401 Unauthorized",
                "X-Error-Code: GatedRepo\r\n",
                b"",
            );
        }
        if is_large(name) {
            let headers = format!(
                "Location: {}/cdn/{}\r\nX-Linked-Size: {}\r\nX-Linked-ETag: \"{}\"\r\n",
                self.address,
                name.replace(' ', "%20"),
                content.len(),
                sha256(content)
            );
            return send(stream, "302 Found", &headers, b"");
        }
        let headers = format!("ETag: \"{}\"\r\n", git_sha1(content));
        if method == "HEAD" {
            let length = content.len();
            return write!(
                stream,
                "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
            );
        }
        send(stream, "200 OK", &headers, content)
    }

    /// A page of the list: three files and a folder, and where the next page is.
    fn tree(&self, stream: &mut TcpStream, query: &str) -> std::io::Result<()> {
        if self.fault == Fault::NoTree {
            return send(stream, "404 Not Found", "", b"");
        }
        let first = query
            .strip_prefix("&cursor=")
            .map_or(0, |cursor| cursor.parse().unwrap());
        let mut page = vec![json!({"type": "directory", "oid": "0", "size": 0, "path": "images"})];
        for (name, content) in self.files.iter().skip(first).take(PAGE) {
            let mut entry = json!({
                "type": "file", "path": name, "size": content.len(), "oid": git_sha1(content),
            });
            if is_large(name) {
                // The oid is that of the pointer.
                entry["oid"] = git_sha1(b"pointer").into();
                entry["lfs"] =
                    json!({"oid": sha256(content), "size": content.len(), "pointerSize": 130});
            }
            page.push(entry);
        }
        let mut next = first + PAGE;
        if self.fault == Fault::Endless {
            next = first;
        }
        let link = if next < self.files.len() {
            format!(
                "Link: <{}/api/datasets/{REPO}/tree/{COMMIT}?recursive=true&cursor={next}>; rel=\"next\"\r\n",
                self.address
            )
        } else {
            String::new()
        };
        send(
            stream,
            "200 OK",
            &link,
            Value::from(page).to_string().as_bytes(),
        )
    }

    fn large(
        &self,
        stream: &mut TcpStream,
        name: &str,
        begin: Option<usize>,
    ) -> std::io::Result<()> {
        let mut content = self.files[name].clone();
        if self.fault == Fault::Changed {
            content[10] ^= 1;
        }
        let total = content.len();
        let begin = begin.filter(|_| self.fault != Fault::NoRanges);
        let rest = &content[begin.unwrap_or(0)..];
        let status = match begin {
            Some(begin) => format!(
                "206 Partial Content\r\nContent-Range: bytes {begin}-{}/{total}",
                total - 1
            ),
            None => "200 OK".to_owned(),
        };
        if matches!(self.fault, Fault::Cut | Fault::Stall) {
            let length = rest.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            stream.write_all(&rest[..length / 2])?;
            stream.flush()?;
            if self.fault == Fault::Stall {
                std::thread::sleep(Duration::from_secs(60));
            }
            return Ok(());
        }
        send(stream, &status, "", rest)
    }
}

fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(body)
}

/// A mirror that has nothing itself and redirects every request.
fn mirror_of(hub: &Hub) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let target = hub.address.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                continue;
            }
            let mut rest = String::new();
            while reader.read_line(&mut rest).unwrap_or(0) > 2 {
                rest.clear();
            }
            let path = line.split(' ').nth(1).unwrap_or("/");
            let location = format!("Location: {target}{path}\r\n");
            let _ = send(&mut stream, "307 Temporary Redirect", &location, b"");
        }
    });
    address
}

fn decoded(path: &str) -> String {
    path.replace("%20", " ")
}

/// Git LFS files: told by SHA-256, and delivered from another address.
fn is_large(name: &str) -> bool {
    name.ends_with(".jsonl") || name.ends_with(".zip") || name.ends_with(".tsv")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(content: &[u8]) -> String {
    hex(&sha2::Sha256::digest(content))
}

fn git_sha1(content: &[u8]) -> String {
    let hasher = sha1::Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    hex(&hasher.chain_update(content).finalize())
}

fn png(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/preprocess/images");
    fs::read(folder.join(name)).unwrap()
}

fn questions(split: &str) -> Vec<u8> {
    let mut lines = String::new();
    for (image, number) in [("images/a b.png", 1), ("images/c.png", 2)] {
        for question in [
            "How many bars are there?",
            "Which colour has the highest bar?",
        ] {
            let record = json!({
                "id": format!("{split}-{image}-{}", question.len()), "image": image,
                "question": question, "answer": number.to_string(), "split": split,
            });
            lines.push_str(&format!("{record}\n"));
        }
    }
    lines.into_bytes()
}

/// Questions of the test split, of both splits, charts, and what nobody needs.
fn repository() -> BTreeMap<String, Vec<u8>> {
    let files = [
        (".gitattributes", b"*.zip filter=lfs".to_vec()),
        ("README.md", b"# Charts".to_vec()),
        ("images/a b.png", png("grey.png")),
        ("images/c.png", png("rgba.png")),
        ("images/same as c.png", png("rgba.png")),
        (
            "questions.jsonl",
            [questions("test"), questions("train")].concat(),
        ),
        ("train/large.zip", vec![5; 10_000]),
    ];
    files
        .into_iter()
        .map(|(name, content)| (name.to_owned(), content))
        .collect()
}

const TEST: &str = "test = [\"questions.jsonl\", \"images/*\"]\n";

/// A benchmark's file with this `[hub]` table.
fn toml(hub: &str) -> String {
    format!(
        "title = \"Charts\"\ndescription = \"D.\"\nformat = \"generic\"\nlicense = \"CC0\"\n\n[hub]\n{hub}"
    )
}

fn table(hub: &str) -> HubData {
    Benchmark::parse(&toml(hub), "charts.toml")
        .unwrap()
        .hub
        .unwrap()
}

fn pinned() -> HubData {
    table(&format!(
        "repo = \"{REPO}\"\nrevision = \"{COMMIT}\"\n{TEST}train = [\"train/*\"]\nbytes = 5000\n"
    ))
}

fn locate(data: &HubData, options: &HubOptions) -> anyhow::Result<DataSetCopy> {
    Ok(locate_data_set("charts", data, &[Split::Test], options)?.unwrap())
}

fn refused(data: &HubData, options: &HubOptions) -> String {
    let line = format!("{:#}", locate(data, options).unwrap_err());
    assert!(!line.contains('\n'), "{line}");
    line
}

fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            names.extend(
                self::names(&path)
                    .iter()
                    .map(|inner| format!("{name}/{inner}")),
            );
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

#[test]
fn a_split_is_fetched_once_into_the_cache() {
    let (hub, cache) = (
        Hub::start(&repository(), Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let options = hub.options(&cache);
    let before = data_set_size(&pinned(), &options);
    assert_eq!(
        (before.is_here, before.here, before.left),
        (false, 0, Some(5000))
    );
    let copy = locate(&pinned(), &options).unwrap();
    let snapshot = cache.path().join(FOLDER).join("snapshots").join(COMMIT);
    let expected = DataSetCopy {
        path: snapshot.clone(),
        repo: Some(REPO.to_owned()),
        commit: Some(COMMIT.to_owned()),
    };
    assert_eq!(copy, expected);
    let files = [
        "images/a b.png",
        "images/c.png",
        "images/same as c.png",
        "questions.jsonl",
    ];
    assert_eq!(
        names(&snapshot),
        files,
        "the train split's files are not fetched"
    );
    for name in files {
        assert_eq!(
            fs::read(snapshot.join(name)).unwrap(),
            repository()[name],
            "{name}"
        );
    }
    // The layout of Hugging Face's own tools.
    #[cfg(unix)]
    {
        let blob = |name: &str| fs::canonicalize(snapshot.join(name)).unwrap();
        let folder = fs::canonicalize(cache.path())
            .unwrap()
            .join(FOLDER)
            .join("blobs");
        assert_eq!(
            blob("questions.jsonl"),
            folder.join(sha256(&repository()["questions.jsonl"]))
        );
        assert_eq!(
            blob("images/c.png"),
            folder.join(git_sha1(&png("rgba.png")))
        );
        assert_eq!(blob("images/c.png"), blob("images/same as c.png"));
    }
    assert!(
        !cache.path().join(FOLDER).join("refs").exists(),
        "a commit needs no ref"
    );
    assert_eq!(hub.requests("/tree/").len(), 3, "the list comes by pages");
    assert!(
        hub.requests("HEAD").is_empty(),
        "the list has the checksums"
    );
    assert_eq!(
        hub.requests("same%20as%20c.png").len(),
        0,
        "one content is fetched once"
    );

    let requests = hub.requests("").len();
    assert_eq!(locate(&pinned(), &options).unwrap(), copy);
    let offline = HubOptions {
        offline: true,
        ..options.clone()
    };
    assert_eq!(locate(&pinned(), &offline).unwrap(), copy);
    assert_eq!(
        hub.requests("").len(),
        requests,
        "a whole copy needs no request"
    );
    let bytes = files
        .map(|name| repository()[name].len() as u64)
        .iter()
        .sum();
    let whole = DataSetSize {
        is_here: true,
        here: bytes,
        left: Some(0),
    };
    assert_eq!(data_set_size(&pinned(), &options), whole);

    // The train split's files are another matter.
    let splits = [Split::Train];
    let error = locate_data_set("charts", &pinned(), &splits, &offline).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("a copy without train/large.zip"), "{error}");
    locate_data_set("charts", &pinned(), &splits, &options).unwrap();
    assert!(snapshot.join("train/large.zip").is_file());

    // A file that is lost is fetched again, alone.
    fs::remove_file(fs::canonicalize(snapshot.join("questions.jsonl")).unwrap()).unwrap();
    let left = data_set_size(&pinned(), &options);
    assert_eq!(
        left.left,
        Some(repository()["questions.jsonl"].len() as u64)
    );
    assert!(!left.is_here);
    let resolved = hub.requests("/resolve/").len();
    locate(&pinned(), &options).unwrap();
    assert_eq!(hub.requests("/resolve/").len(), resolved + 1);
}

#[test]
fn a_branch_is_noted_and_shown_as_not_pinned() {
    let (hub, cache) = (
        Hub::start(&repository(), Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let data = table(&format!("repo = \"{REPO}\"\n{TEST}"));
    assert_eq!(
        data.describe_source().unwrap(),
        "someone/charts@main, not pinned"
    );
    assert_eq!(
        pinned().describe_source().unwrap(),
        "someone/charts@89abcdef"
    );
    let copy = locate(&data, &hub.options(&cache)).unwrap();
    assert_eq!(copy.commit.as_deref(), Some(COMMIT));
    let note = fs::read_to_string(cache.path().join(FOLDER).join("refs/main")).unwrap();
    assert_eq!(note, COMMIT);
    let offline = HubOptions {
        offline: true,
        ..hub.options(&cache)
    };
    assert_eq!(locate(&data, &offline).unwrap(), copy);
}

#[test]
fn a_server_without_a_list_of_checksums_is_asked_for_each() {
    let (hub, cache) = (
        Hub::start(&repository(), Fault::NoTree),
        tempfile::tempdir().unwrap(),
    );
    let copy = locate(&pinned(), &hub.options(&cache)).unwrap();
    assert_eq!(names(&copy.path).len(), 4);
    assert_eq!(hub.requests("HEAD").len(), 4);
}

#[test]
fn a_mirror_that_redirects_is_followed() {
    let (hub, cache) = (
        Hub::start(&repository(), Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let options = HubOptions {
        endpoint: mirror_of(&hub),
        ..hub.options(&cache)
    };
    let copy = locate(&pinned(), &options).unwrap();
    assert_eq!(names(&copy.path).len(), 4);
    assert_eq!(
        hub.requests("cursor=6").len(),
        1,
        "all pages are read by way of the mirror"
    );
}

#[test]
fn what_cannot_be_had_is_one_line() {
    let cache = tempfile::tempdir().unwrap();
    let with = |fault: Fault, data: &HubData| {
        let hub = Hub::start(&repository(), fault);
        refused(data, &hub.options(&cache)).replace(&hub.address, "HUB")
    };
    let error = with(Fault::Changed, &pinned());
    assert_eq!(
        error,
        format!(
            "{REPO}: the questions.jsonl that came from HUB does not have the checksum stated there: run again"
        )
    );
    assert!(
        with(Fault::Gated, &pinned())
            .contains("it is gated or private; accept its terms there and set HF_TOKEN")
    );
    assert!(with(Fault::Endless, &pinned()).contains("the list of someone/charts@"));
    let lacks = table(&format!(
        "repo = \"{REPO}\"\nrevision = \"{COMMIT}\"\ntest = [\"data/test-*.parquet\"]\n"
    ));
    let error = with(Fault::None, &lacks);
    assert!(
        error.ends_with("has no file `data/test-*.parquet`, which benchmark `charts` needs"),
        "{error}"
    );
    let other = table(&format!("repo = \"someone/else\"\n{TEST}"));
    let error = with(Fault::None, &other);
    assert!(error.contains("has no repository someone/else"), "{error}");
    let own = table(&format!(
        "repo = \"{REPO}\"\nrevision = \"{COMMIT}\"\n{TEST}sha256 = {{ \"questions.jsonl\" = \"{}\" }}\n",
        "0".repeat(64)
    ));
    let error = with(Fault::None, &own);
    assert!(
        error.contains("its SHA-256 is ") && error.ends_with("it is not used"),
        "{error}"
    );
    let snapshot = cache.path().join(FOLDER).join("snapshots").join(COMMIT);
    assert!(!snapshot.join("questions.jsonl").exists());

    let empty = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let down = HubOptions {
        offline: false,
        cache: empty.path().to_owned(),
        endpoint: format!("http://{closed}"),
        retries: 0,
        timeout: Duration::from_secs(5),
    };
    let error = refused(&pinned(), &down);
    assert!(
        error.contains("cannot reach ")
            && error.ends_with("name a copy of the data set with --data"),
        "{error}"
    );
    let error = refused(
        &pinned(),
        &HubOptions {
            offline: true,
            ..down
        },
    );
    assert!(
        error.contains("no copy of someone/charts@")
            && error.contains("run `chartbench data get charts` where there is a network"),
        "{error}"
    );
    assert!(names(empty.path()).is_empty());
}

/// A name in the list that leads elsewhere is neither written nor asked for.
#[test]
fn a_list_leads_nowhere_else() {
    let mut files = repository();
    files.insert("images\\..\\..\\evil".to_owned(), b"x".to_vec());
    let (hub, cache) = (
        Hub::start(&files, Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let all = table(&format!(
        "repo = \"{REPO}\"\nrevision = \"{COMMIT}\"\ntest = [\"**/*\"]\n"
    ));
    let error = refused(&all, &hub.options(&cache));
    assert!(
        error.contains("whose name cannot be that of a file here"),
        "{error}"
    );
    assert!(hub.requests("/resolve/").is_empty());
    let mut files = repository();
    for name in ["../../evil", "/etc/evil", "images/../../evil"] {
        files.insert(name.to_owned(), b"x".to_vec());
    }
    let hub = Hub::start(&files, Fault::None);
    locate(&pinned(), &hub.options(&cache)).unwrap();
    let found = names(cache.path());
    assert!(!found.iter().any(|name| name.contains("evil")), "{found:?}");
}

#[test]
fn a_half_file_is_gone_on_with() {
    let cache = tempfile::tempdir().unwrap();
    let content = &repository()["questions.jsonl"];
    let part = cache
        .path()
        .join(FOLDER)
        .join(format!("blobs/{}.incomplete", sha256(content)));
    let cut = Hub::start(&repository(), Fault::Cut);
    let error = refused(&pinned(), &cut.options(&cache));
    assert!(
        error.contains("questions.jsonl of ") && error.contains("broke off"),
        "{error}"
    );
    let half = content.len() / 2;
    assert_eq!(fs::read(&part).unwrap(), content[..half]);

    let hub = Hub::start(&repository(), Fault::None);
    let copy = locate(&pinned(), &hub.options(&cache)).unwrap();
    assert_eq!(
        &fs::read(copy.path.join("questions.jsonl")).unwrap(),
        content
    );
    assert_eq!(
        hub.requests("/cdn/"),
        [format!("GET /cdn/questions.jsonl from {half}")]
    );
    assert!(!part.exists());

    // A connection that breaks is resumed by itself.
    let again = tempfile::tempdir().unwrap();
    let retries = HubOptions {
        retries: 2,
        ..cut.options(&again)
    };
    let before = cut.requests("/cdn/").len();
    refused(&pinned(), &retries);
    let tries = cut.requests("/cdn/");
    assert_eq!(tries[before..].len(), 3, "{tries:?}");
    assert!(
        tries[before + 1].ends_with(&format!("from {half}")),
        "{tries:?}"
    );

    // What is there may be something else, or the server may take no ranges.
    for fault in [Fault::None, Fault::NoRanges] {
        let cache = tempfile::tempdir().unwrap();
        let blobs = cache.path().join(FOLDER).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        let part = blobs.join(format!("{}.incomplete", sha256(content)));
        fs::write(part, vec![b'x'; half]).unwrap();
        let hub = Hub::start(&repository(), fault);
        let copy = locate(&pinned(), &hub.options(&cache)).unwrap();
        assert_eq!(
            &fs::read(copy.path.join("questions.jsonl")).unwrap(),
            content
        );
        let wanted = if fault == Fault::None { 2 } else { 1 };
        assert_eq!(hub.requests("/cdn/").len(), wanted, "{fault:?}");
    }
}

#[test]
fn two_at_once_fetch_each_file_once() {
    let (hub, cache) = (
        Hub::start(&repository(), Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let options = hub.options(&cache);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| locate(&pinned(), &options).unwrap());
        }
    });
    assert_eq!(hub.requests("/cdn/").len(), 1);
    assert_eq!(hub.requests("/resolve/").len(), 3);
}

/// What Hugging Face's own tools downloaded has no list of chartbench's.
#[test]
fn a_copy_by_other_tools_is_found() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join(FOLDER);
    let snapshot = folder.join("snapshots").join(COMMIT);
    fs::create_dir_all(snapshot.join("data")).unwrap();
    fs::create_dir_all(folder.join("refs")).unwrap();
    fs::write(folder.join("refs/main"), COMMIT).unwrap();
    let offline = HubOptions {
        offline: true,
        cache: cache.path().to_owned(),
        endpoint: "http://127.0.0.1:9".to_owned(),
        retries: 0,
        timeout: Duration::from_secs(1),
    };
    let data = table(&format!("repo = \"{REPO}\"\ntest = [\"data/test-*\"]\n"));
    let error = refused(&data, &offline);
    assert!(error.contains("a copy without data/test-*"), "{error}");
    fs::write(snapshot.join("data/test-00000-of-00002.parquet"), "a").unwrap();
    let error = refused(&data, &offline);
    assert!(
        error.contains("a copy without data/test-00001-of-00002"),
        "{error}"
    );
    fs::write(snapshot.join("data/test-00001-of-00002.parquet"), "b").unwrap();
    assert_eq!(locate(&data, &offline).unwrap().path, snapshot);
}

#[test]
fn an_archive_is_unpacked_once_and_its_folder_is_the_data_set() {
    let mut files = repository();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [
        ("Chart set/questions.jsonl", &files["questions.jsonl"]),
        ("Chart set/images/a b.png", &files["images/a b.png"]),
        ("Chart set/images/c.png", &files["images/c.png"]),
    ] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    files.insert(
        "Chart set.zip".to_owned(),
        zip.finish().unwrap().into_inner(),
    );
    let (hub, cache) = (
        Hub::start(&files, Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let data = table(&format!(
        "repo = \"{REPO}\"\nrevision = \"{COMMIT}\"\nunpack = [\"Chart set.zip\"]\npath = \"Chart set\"\n"
    ));
    let copy = locate(&data, &hub.options(&cache)).unwrap();
    assert!(copy.path.join("images/c.png").is_file());
    assert!(
        !copy.path.join("Chart set").exists(),
        "one folder of the archive's name is enough"
    );
    let offline = HubOptions {
        offline: true,
        ..hub.options(&cache)
    };
    fs::remove_dir_all(&copy.path).unwrap();
    assert_eq!(
        locate(&data, &offline).unwrap(),
        copy,
        "the archive is here"
    );
    assert!(copy.path.join("images/c.png").is_file());
}

#[test]
fn a_file_elsewhere_is_told_by_its_md5() {
    let mut files = repository();
    let content = b"index\timage\tquestion\tanswer\n".repeat(100);
    files.insert("Set.tsv".to_owned(), content.clone());
    let (hub, cache) = (
        Hub::start(&files, Fault::None),
        tempfile::tempdir().unwrap(),
    );
    let md5 = "d5e2a3c6ed2a4a5c0d8f0a3a2a9d2c11";
    let with = |md5: &str| {
        table(&format!(
            "url = \"{}/cdn/Set.tsv\"\nmd5 = \"{md5}\"\n",
            hub.address
        ))
    };
    let error = refused(&with(md5), &hub.options(&cache));
    let found = error.split("its MD5 is ").nth(1).unwrap()[..32].to_owned();
    assert!(
        error.contains(&format!("states {md5}: it is not used")),
        "{error}"
    );
    let offline = HubOptions {
        offline: true,
        ..hub.options(&cache)
    };
    assert!(refused(&with(&found), &offline).contains("no copy of Set.tsv in the cache"));
    // The half that a killed download left.
    let folder = cache.path().join(format!("urls--{found}"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{found}.incomplete")), &content[..1000]).unwrap();
    let copy = locate(&with(&found), &hub.options(&cache)).unwrap();
    assert_eq!(copy.path, folder.join("Set.tsv"));
    assert_eq!(fs::read(&copy.path).unwrap(), content);
    assert_eq!(hub.requests("from 1000").len(), 1);
    assert_eq!(locate(&with(&found), &offline).unwrap(), copy);
    assert!(data_set_size(&with(&found), &offline).is_here);
}

#[test]
fn tables_that_are_wrong_are_refused_with_their_line() {
    let fault = |hub: &str| {
        let error = Benchmark::parse(&toml(hub), "x.toml").unwrap_err();
        format!("{error:#}")
    };
    let repo = format!("repo = \"{REPO}\"\n");
    let cases: Vec<(String, &str)> = vec![
        (
            "".to_owned(),
            "x.toml: hub.repo: is missing: name `repo`, `url` or `obtain`",
        ),
        (
            "repo = \"../etc\"\ntest = [\"a\"]\n".to_owned(),
            "x.toml: line 7: repo: `../etc` is no repository: expected OWNER/NAME",
        ),
        (
            repo.clone(),
            "x.toml: hub.test: is missing: the files that the test split needs",
        ),
        (
            format!("{repo}revision = \"main\"\ntest = [\"a\"]\n"),
            "line 8: revision: must be a commit, 40 hex digits",
        ),
        (
            format!("{repo}test = [\"../a\"]\n"),
            "line 8: test: `../a` is no pattern of files",
        ),
        (
            format!("{repo}test = [\"a[\"]\n"),
            "line 8: test: `a[` is no pattern of files",
        ),
        (
            format!("{repo}unpack = [\"a.rar\"]\n"),
            "line 8: unpack: `a.rar` is no archive that can be unpacked",
        ),
        (
            format!("{repo}test = [\"a\"]\npath = \"/etc\"\n"),
            "line 9: path: `/etc` is no path in a repository",
        ),
        (
            format!("{repo}test = [\"a\"]\nsha256 = {{ a = \"0\" }}\n"),
            "line 9: sha256: that of `a` must be 64 hex digits",
        ),
        (
            format!("{repo}test = [\"a\"]\nurl = \"https://h/a\"\n"),
            "line 9: url: does not go with `repo`",
        ),
        (
            "url = \"file:///etc/passwd\"\nmd5 = \"0\"\n".to_owned(),
            "line 7: url: must be the address of a file",
        ),
        (
            "url = \"https://h/a.tsv\"\nmd5 = \"0\"\n".to_owned(),
            "line 8: md5: must be the file's MD5, 32 hex digits",
        ),
        (
            "url = \"https://h/a.tsv\"\ntest = [\"a\"]\n".to_owned(),
            "line 8: test: belongs to `repo` only",
        ),
        (format!("{repo}colour = 1\n"), "unknown field `colour`"),
    ];
    for (hub, expected) in cases {
        let line = fault(&hub);
        assert!(line.contains(expected), "{line}\n{expected}");
        assert!(!line.contains('\n'), "{line}");
    }
}

/// The program with an empty cache and a benchmark on the local hub.
struct Scratch {
    folder: TempDir,
    endpoint: String,
}

impl Scratch {
    fn new(hub: &Hub, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("charts.toml"), text).unwrap();
        Self {
            folder,
            endpoint: hub.address.clone(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HF_HUB_CACHE", self.folder.path().join("cache"))
            .env("HF_ENDPOINT", &self.endpoint)
            .env("NO_PROXY", "127.0.0.1");
        for name in ["HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_DOWNLOAD_TIMEOUT"] {
            command.env_remove(name);
        }
        command
    }

    #[track_caller]
    fn well(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    }

    fn cached(&self) -> std::path::PathBuf {
        let folder = self.folder.path().join("cache").join(FOLDER);
        folder.join("snapshots").join(COMMIT)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn pinned_toml() -> String {
    toml(&format!(
        "repo = \"{REPO}\"\nrevision = \"{COMMIT}\"\n{TEST}train = [\"train/*\"]\n"
    ))
}

#[test]
fn a_run_fetches_what_it_asks_and_is_offline_afterwards() {
    let hub = Hub::start(&repository(), Fault::None);
    let scratch = Scratch::new(&hub, &pinned_toml());
    let offline = [
        "run",
        "--adapters",
        "matcha-tiny",
        "--benchmark",
        "charts.toml",
        "--name",
        "r",
        "--offline",
    ];
    let line = scratch.refused(&offline);
    assert!(
        line.contains("downloads are off: run `chartbench data get charts.toml`"),
        "{line}"
    );
    let plan = [&offline[..7], &["--dry-run"]].concat();
    assert!(
        scratch.refused(&plan).contains("downloads are off"),
        "a plan fetches nothing"
    );
    assert!(hub.requests("").is_empty());

    let output = scratch.well(&offline[..7]);
    let notes = stderr(&output);
    assert!(
        notes.contains(&format!(
            "fetching {REPO}@{COMMIT} from {}: 4 files, ",
            hub.address
        )),
        "{notes}"
    );
    assert!(
        notes.contains("4 questions on 2 charts of Charts, from someone/charts@89abcdef"),
        "{notes}"
    );
    assert!(
        notes.contains(
            "majority and question-prior are left out: the train split of charts.toml is not here"
        ),
        "{notes}"
    );
    assert_eq!(names(&scratch.cached()).len(), 4);
    let folder = fs::read_to_string(scratch.folder.path().join("results/r/data.toml")).unwrap();
    assert!(
        folder.contains(&format!("repo = \"{REPO}\"\ncommit = \"{COMMIT}\"\n")),
        "{folder}"
    );
    scratch.well(&["leaderboard", "r"]);

    let requests = hub.requests("").len();
    let again = [&offline[..6], &["again", "--offline"]].concat();
    scratch.well(&again);
    let check = ["data", "check", "charts.toml", "--offline"];
    let check = scratch.command(&check).output().unwrap();
    assert!(
        stdout(&check).contains("4 test questions"),
        "{}",
        stderr(&check)
    );
    let found = scratch.well(&["data", "get", "charts.toml", "--offline"]);
    assert_eq!(
        Path::new(stdout(&found).trim()).canonicalize().unwrap(),
        scratch.cached().canonicalize().unwrap()
    );
    assert!(
        stderr(&found).contains("charts: someone/charts@89abcdef; licence: CC0"),
        "{}",
        stderr(&found)
    );
    assert!(
        stderr(&found).contains("--train fetches those of the train split"),
        "{}",
        stderr(&found)
    );
    assert_eq!(hub.requests("").len(), requests);

    // Pictures of the page come along.
    let page = scratch.well(&["report", "r", "--out", "r.html"]);
    assert!(!stderr(&page).contains("no pictures"), "{}", stderr(&page));

    // A row that is named is worth its train split.
    scratch.well(&[
        "run",
        "--adapters",
        "majority",
        "--benchmark",
        "charts.toml",
        "--name",
        "prior",
    ]);
    assert!(scratch.cached().join("train/large.zip").is_file());
}

/// ChartQA's own benchmark file, whose copy on the hub is parquet: two commands to a leaderboard.
#[test]
fn chartqa_comes_as_parquet_from_an_empty_cache() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/parquet/ahmed-masry/data/test-00000-of-00001.parquet");
    let files = BTreeMap::from([
        ("README.md".to_owned(), b"ChartQA".to_vec()),
        (
            "data/test-00000-of-00001.parquet".to_owned(),
            fs::read(fixture).unwrap(),
        ),
    ]);
    let embedded = include_str!("../../benchmarks/chartqa.toml");
    let text = embedded
        .replace("ahmed-masry/ChartQA", REPO)
        .replace("af8b6f5c08c95085271561c2a3f9d15f2b5a9031", COMMIT);
    let hub = Hub::start(&files, Fault::None);
    let scratch = Scratch::new(&hub, &text);
    let run = |more: &[&str]| {
        let arguments = [
            "run",
            "--adapters",
            "blank+matcha-tiny",
            "--no-blind",
            "--benchmark",
            "charts.toml",
        ];
        stdout(&scratch.well(&[&arguments[..], more].concat()))
    };
    let table = run(&["--name", "first"]);
    assert!(table.contains("8 questions on 3 charts"), "{table}");
    assert_eq!(hub.requests("test-00000-of-00001.parquet").len(), 1);
    let asked = hub.requests("").len();
    run(&["--name", "again", "--offline"]);
    assert_eq!(hub.requests("").len(), asked);
}

/// ChartBench's benchmark file: questions in a file, charts in an archive beside it.
#[test]
fn chartbench_comes_with_its_charts_unpacked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/json/ChartBench");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for image in [
        "test/bar/vertical_multi/chart_0/image.png",
        "test/line/line_single/chart_3/image.png",
    ] {
        zip.start_file(image, options).unwrap();
        zip.write_all(&fs::read(folder.join("data").join(image)).unwrap())
            .unwrap();
    }
    let files = BTreeMap::from([
        (
            "test.jsonl".to_owned(),
            fs::read(folder.join("test.jsonl")).unwrap(),
        ),
        (
            "data/test.zip".to_owned(),
            zip.finish().unwrap().into_inner(),
        ),
        ("data/train.zip".to_owned(), vec![5; 10_000]),
    ]);
    let embedded = include_str!("../../benchmarks/chartbench-acc-plus.toml");
    let text = embedded.replace(
        "repo = \"SincereX/ChartBench\"",
        &format!("repo = \"{REPO}\"\nrevision = \"{COMMIT}\""),
    );
    let hub = Hub::start(&files, Fault::None);
    let scratch = Scratch::new(&hub, &text);
    let run = |more: &[&str]| {
        let arguments = [
            "run",
            "--adapters",
            "blank+matcha-tiny",
            "--no-blind",
            "--benchmark",
            "charts.toml",
        ];
        stdout(&scratch.well(&[&arguments[..], more].concat()))
    };
    let table = run(&["--name", "first"]);
    assert!(table.contains("6 questions on 2 charts"), "{table}");
    assert!(hub.requests("train.zip").is_empty());
    let asked = hub.requests("").len();
    run(&["--name", "again", "--offline"]);
    assert_eq!(hub.requests("").len(), asked);
}

#[test]
fn golds_and_imports_find_the_data_set() {
    let hub = Hub::start(&repository(), Fault::None);
    let scratch = Scratch::new(&hub, &pinned_toml());
    let mut lines = String::new();
    for line in String::from_utf8(questions("test")).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        lines.push_str(&format!(
            "{}\n",
            json!({"id": record["id"], "prediction": record["answer"]})
        ));
    }
    fs::write(scratch.folder.path().join("answers.jsonl"), lines).unwrap();
    let score = [
        "score",
        "answers.jsonl",
        "--benchmark",
        "charts.toml",
        "--convention",
        "chartbench",
        "--offline",
    ];
    assert!(scratch.refused(&score).contains("downloads are off"));
    let table = stdout(&scratch.well(&score[..6]));
    assert!(table.contains("100.000"), "{table}");
    scratch.well(&[
        "import",
        "answers.jsonl",
        "--as",
        "theirs",
        "--benchmark",
        "charts.toml",
        "--offline",
    ]);
}

#[test]
fn a_killed_download_goes_on() {
    let stalled = Hub::start(&repository(), Fault::Stall);
    let scratch = Scratch::new(&stalled, &pinned_toml());
    let mut child = scratch
        .command(&["data", "get", "charts.toml"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let content = &repository()["questions.jsonl"];
    let blobs = scratch
        .folder
        .path()
        .join("cache")
        .join(FOLDER)
        .join("blobs");
    let part = blobs.join(format!("{}.incomplete", sha256(content)));
    let begun = Instant::now();
    let half = content.len() / 2;
    while fs::metadata(&part).map_or(0, |metadata| metadata.len()) < half as u64 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing came");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!scratch.cached().join("questions.jsonl").exists());

    let hub = Hub::start(&repository(), Fault::None);
    let scratch = Scratch {
        endpoint: hub.address.clone(),
        ..scratch
    };
    scratch.well(&[
        "run",
        "--adapters",
        "matcha-tiny",
        "--no-blind",
        "--benchmark",
        "charts.toml",
        "--name",
        "r",
    ]);
    assert_eq!(
        hub.requests("/cdn/"),
        [format!("GET /cdn/questions.jsonl from {half}")]
    );
}

#[test]
fn what_no_program_can_fetch_is_said() {
    let hub = Hub::start(&repository(), Fault::None);
    let scratch = Scratch::new(&hub, &toml("obtain = \"ask its authors for it\"\n"));
    let line = scratch.refused(&["data", "get", "charts.toml"]);
    assert!(
        line.contains("cannot be fetched by its name: ask its authors for it"),
        "{line}"
    );
    let line = scratch.refused(&[
        "run",
        "--adapters",
        "majority",
        "--benchmark",
        "charts.toml",
    ]);
    assert!(
        line.contains("benchmark `charts.toml` needs --data: ask its authors for it"),
        "{line}"
    );
    let line = scratch.refused(&["data", "get", "realcqa"]);
    assert!(
        line.contains("sal4ahm/RealCQA") && line.contains("https://github.com/cse-ai-lab/RealCQA"),
        "{line}"
    );
    let line = scratch.refused(&["data", "get", "mini"]);
    assert!(
        line.contains("draws its own charts: there is nothing to fetch"),
        "{line}"
    );
    let line = scratch.refused(&["data", "get", "chartqq"]);
    assert!(
        line.contains("unknown benchmark `chartqq`; nearest: chartqa"),
        "{line}"
    );
    assert!(hub.requests("").is_empty());
    let list = stdout(&scratch.well(&["list", "benchmarks", "--format", "csv"]));
    assert!(list.lines().next().unwrap().contains("data set"), "{list}");
    assert!(
        list.lines()
            .any(|line| line.starts_with("mini,") && line.contains(",drawn,")),
        "{list}"
    );
}
