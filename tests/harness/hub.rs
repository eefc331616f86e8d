//! Finding and downloading weights, against a local HTTP server that answers as the Hugging Face
//! hub does.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[cfg(feature = "onnx")]
use chartbench::adapter::hub::locate_export;
use chartbench::adapter::hub::{HubOptions, locate};
use sha1::Digest;
use tempfile::TempDir;
use tiny_http::{Header, Method, Request, Response, Server};

/// Set where a test runs as the child process of itself.
const AS_CHILD: &str = "CHARTBENCH_TEST_CHILD";
const REPO: &str = "someone/matcha";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the hub misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every request of the API gets this status, with this `X-Error-Code`.
    Api(u16, &'static str),
    /// Every file gets this status.
    Files(u16),
    /// Weights come with a byte changed.
    Changed,
    /// Weights come only in part, then the connection closes.
    Cut,
    /// A small file comes with a byte changed.
    SmallChanged,
    /// Nothing without `Authorization: Bearer opensesame`.
    Gated,
    /// Small files have this tag.
    Tag(&'static str),
    /// The commit id is this.
    Commit(&'static str),
    /// Weights come with more bytes than are stated.
    Longer,
    /// Every status is 500, with the token in headers and body.
    Echo,
    /// Small files are under another name of the repository.
    Renamed,
    /// A token in a request is an error: it was not for this host.
    NoToken,
}

/// A hub with one repository.
struct Hub {
    endpoint: String,
    /// Method and path of every request so far.
    log: Arc<Mutex<Vec<String>>>,
    server: Arc<Server>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn repository(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let content = |name: &str| {
        if is_large(name) {
            weights()
        } else {
            format!("{{\"file\":\"{name}\"}}").into_bytes()
        }
    };
    names
        .iter()
        .map(|name| ((*name).to_owned(), content(name)))
        .collect()
}

/// Git LFS files: told by SHA-256, and delivered from another address.
fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors") || name.ends_with(".bin")
}

const SMALL: [&str; 4] = [
    "config.json",
    "tokenizer.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
];

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>, fault: Fault) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let endpoint = format!("http://{}", server.server_addr());
        let log = Arc::new(Mutex::new(Vec::new()));
        let hub = Self {
            endpoint: endpoint.clone(),
            log: Arc::clone(&log),
            server: Arc::clone(&server),
        };
        let cut = cut_server();
        std::thread::spawn(move || {
            for request in server.incoming_requests() {
                log.lock()
                    .unwrap()
                    .push(format!("{} {}", request.method(), request.url()));
                answer(request, &endpoint, &cut, &files, fault);
            }
        });
        hub
    }

    fn options(&self, cache: &TempDir) -> HubOptions {
        options(&self.endpoint, cache.path())
    }

    fn requests(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

fn options(endpoint: &str, cache: &Path) -> HubOptions {
    HubOptions {
        offline: false,
        cache: cache.to_owned(),
        endpoint: endpoint.to_owned(),
        retries: 0,
        timeout: Duration::from_secs(20),
    }
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).unwrap()
}

fn answer(
    request: Request,
    endpoint: &str,
    cut: &str,
    files: &BTreeMap<String, Vec<u8>>,
    fault: Fault,
) {
    let url = request.url().to_owned();
    let refuse = |request: Request, status: u16, code: &str| {
        request
            .respond(Response::empty(status).with_header(header("X-Error-Code", code)))
            .unwrap();
    };
    let authorized = request.headers().iter().any(|header| {
        header.field.equiv("Authorization") && header.value.as_str() == "Bearer opensesame"
    });
    let has_token = request
        .headers()
        .iter()
        .any(|header| header.field.equiv("Authorization"));
    if fault == Fault::NoToken && has_token {
        return refuse(request, 400, "TokenOfAnotherHost");
    }
    if let Some(name) = url.strip_prefix("/cdn/") {
        let mut content = files[name].clone();
        if fault == Fault::Changed {
            content[1000] ^= 1;
        }
        if fault == Fault::Longer {
            content.push(0);
        }
        return request.respond(Response::from_data(content)).unwrap();
    }
    if fault == Fault::Echo {
        let token = request
            .headers()
            .iter()
            .find(|header| header.field.equiv("Authorization"))
            .unwrap()
            .value
            .to_string();
        let response =
            Response::from_string(format!("{{\"error\": \"{token}\"}}")).with_status_code(500);
        return request
            .respond(response.with_header(header("X-Error-Message", &token)))
            .unwrap();
    }
    if fault == Fault::Gated && !authorized {
        return refuse(request, 401, "GatedRepo");
    }
    if url.starts_with("/api/models/") {
        return match fault {
            Fault::Api(status, code) => refuse(request, status, code),
            Fault::Commit(commit) => request.respond(listing(files, commit)).unwrap(),
            _ => request.respond(listing(files, COMMIT)).unwrap(),
        };
    }
    let prefix = format!("/{REPO}/resolve/{COMMIT}/");
    let name = url
        .strip_prefix(&prefix)
        .map(|name| name.trim_end_matches("?new"));
    let Some((name, content)) = name.and_then(|name| files.get_key_value(name)) else {
        return refuse(request, 404, "EntryNotFound");
    };
    if let Fault::Files(status) = fault {
        return refuse(request, status, "");
    }
    if fault == Fault::Renamed && !is_large(name) && !url.ends_with("?new") {
        let response = Response::empty(307).with_header(header("Location", &format!("{url}?new")));
        return request.respond(response).unwrap();
    }
    if is_large(name) {
        let target = if fault == Fault::Cut {
            cut.to_owned()
        } else {
            format!("{endpoint}/cdn/{name}")
        };
        let response = Response::empty(302)
            .with_header(header("Location", &target))
            .with_header(header("X-Repo-Commit", COMMIT))
            .with_header(header("X-Linked-Size", &content.len().to_string()))
            .with_header(header(
                "X-Linked-ETag",
                &format!("\"{}\"", hex(&sha2::Sha256::digest(content))),
            ));
        return request.respond(response).unwrap();
    }
    let tag = hex(
        &sha1::Sha1::new_with_prefix(format!("blob {}\0", content.len()))
            .chain_update(content)
            .finalize(),
    );
    let mut content = content.clone();
    if fault == Fault::SmallChanged && *request.method() == Method::Get {
        content[3] ^= 1;
    }
    let tag = if let Fault::Tag(tag) = fault {
        tag
    } else {
        &tag
    };
    let response = Response::from_data(content)
        .with_header(header("ETag", &format!("\"{tag}\"")))
        .with_header(header("X-Repo-Commit", COMMIT));
    request.respond(response).unwrap();
}

fn listing(files: &BTreeMap<String, Vec<u8>>, commit: &str) -> Response<std::io::Cursor<Vec<u8>>> {
    let names = files
        .keys()
        .map(String::as_str)
        .chain(["../../evil", "/etc/evil", ""]);
    let siblings = names
        .map(|name| serde_json::json!({"rfilename": name}))
        .collect::<Vec<_>>();
    let info =
        serde_json::json!({"id": REPO, "modelId": REPO, "sha": commit, "siblings": siblings});
    Response::from_string(info.to_string()).with_header(header("Content-Type", "application/json"))
}

/// The address of a server that promises 1,200,000 bytes, sends 1000 and hangs up.
fn cut_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1200000\r\n\r\n");
            let _ = stream.write_all(&[7; 1000]);
        }
    });
    format!("http://{address}/blob?signature=secret")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every file under a folder, by its path in it.
fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files)
            } else {
                files.push(path)
            }
        }
    }
    let mut files = Vec::new();
    walk(folder, &mut files);
    let mut names = files
        .iter()
        .map(|file| file.strip_prefix(folder).unwrap().display().to_string())
        .collect::<Vec<_>>();
    names.sort();
    names
}

/// The names in a snapshot that `locate` finds.
fn located(names: &[&str]) -> Vec<String> {
    let (cache, hub) = (
        tempfile::tempdir().unwrap(),
        Hub::start(repository(names), Fault::None),
    );
    tree(&locate(REPO, "main", None, &hub.options(&cache)).unwrap())
}

/// The error of a download from a hub with this fault; nothing half-written may be left under a file's name.
fn refused(fault: Fault) -> String {
    let (cache, hub) = (
        tempfile::tempdir().unwrap(),
        Hub::start(
            repository(&[&SMALL[..], &["model.safetensors"]].concat()),
            fault,
        ),
    );
    let error = locate(REPO, "main", None, &hub.options(&cache)).unwrap_err();
    for name in tree(cache.path()) {
        // The next download goes on with what came before the connection broke.
        if fault == Fault::Cut && name.ends_with(".incomplete") {
            let part = std::fs::read(cache.path().join(&name)).unwrap();
            assert_eq!(part, [7; 1000]);
            continue;
        }
        assert!(
            !name.contains("refs")
                && !name.ends_with("model.safetensors")
                && !name.contains(".writing-"),
            "{name}"
        );
        let small = std::fs::read(cache.path().join(&name)).unwrap();
        assert!(small.starts_with(b"{\"file\":\""), "{name}");
    }
    let error = format!("{error:#}");
    assert!(!error.contains("secret"), "{error}");
    error
        .replace(&hub.endpoint, "HUB")
        .replace(&cache.path().display().to_string(), "CACHE")
}

#[test]
fn a_download_fills_the_cache_once() {
    let others = [
        "README.md",
        "tf_model.bin",
        "pytorch_model.bin",
        "model.safetensors",
    ];
    let hub = Hub::start(repository(&[&SMALL[..], &others].concat()), Fault::None);
    let cache = tempfile::tempdir().unwrap();
    let folder = locate(REPO, "main", None, &hub.options(&cache)).unwrap();
    assert_eq!(
        folder,
        cache
            .path()
            .join("models--someone--matcha/snapshots")
            .join(COMMIT)
    );
    let expected = [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
    ];
    assert_eq!(tree(&folder), expected);
    assert_eq!(
        std::fs::read(folder.join("model.safetensors")).unwrap(),
        weights()
    );
    let blob = std::fs::canonicalize(folder.join("model.safetensors")).unwrap();
    assert_eq!(
        blob.file_name().unwrap().to_str().unwrap(),
        hex(&sha2::Sha256::digest(weights()))
    );
    let note =
        std::fs::read_to_string(cache.path().join("models--someone--matcha/refs/main")).unwrap();
    assert_eq!(note, COMMIT);

    let before = hub.requests();
    let offline = HubOptions {
        offline: true,
        ..hub.options(&cache)
    };
    assert_eq!(
        locate(REPO, "main", None, &hub.options(&cache)).unwrap(),
        folder
    );
    assert_eq!(locate(REPO, COMMIT, None, &offline).unwrap(), folder);
    assert_eq!(hub.requests(), before, "a complete copy needs no request");

    std::fs::remove_file(&blob).unwrap();
    let error = format!("{:#}", locate(REPO, "main", None, &offline).unwrap_err());
    assert!(
        error.contains("a copy without model.safetensors"),
        "{error}"
    );
    assert_eq!(
        locate(REPO, "main", None, &hub.options(&cache)).unwrap(),
        folder
    );
    let files = |log: &[String]| {
        log.iter()
            .filter(|request| request.starts_with("GET /someone"))
            .count()
    };
    assert_eq!(
        files(&hub.log.lock().unwrap()[before..]),
        1,
        "only what is missing is fetched"
    );
}

#[test]
fn weights_are_chosen_in_order() {
    let small = ["config.json", "tokenizer.json", "processor_config.json"];
    let pickle = located(&[&small[..], &["pytorch_model.bin"]].concat());
    assert_eq!(
        pickle,
        [
            "config.json",
            "processor_config.json",
            "pytorch_model.bin",
            "tokenizer.json"
        ]
    );

    let shards = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model-stray.safetensors",
    ];
    let mut files = repository(&[&small[..], &shards].concat());
    let map = serde_json::json!({"weight_map": {"a": shards[0], "b": shards[1], "c": shards[0]}});
    files.insert(
        "model.safetensors.index.json".to_owned(),
        map.to_string().into_bytes(),
    );
    let (cache, hub) = (tempfile::tempdir().unwrap(), Hub::start(files, Fault::None));
    let folder = locate(REPO, "main", None, &hub.options(&cache)).unwrap();
    let expected = [
        "config.json",
        shards[0],
        shards[1],
        "model.safetensors.index.json",
        "processor_config.json",
        "tokenizer.json",
    ];
    assert_eq!(tree(&folder), expected);
}

#[test]
fn sharded_pickles_come_with_their_index() {
    let small = ["config.json", "tokenizer.json", "processor_config.json"];
    let shards = [
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model-00002-of-00002.bin",
    ];
    let mut files = repository(&[&small[..], &shards].concat());
    let map = serde_json::json!({"weight_map": {"a": shards[0], "b": shards[1]}});
    files.insert(
        "pytorch_model.bin.index.json".to_owned(),
        map.to_string().into_bytes(),
    );
    let (cache, hub) = (tempfile::tempdir().unwrap(), Hub::start(files, Fault::None));
    let folder = locate(REPO, "main", None, &hub.options(&cache)).unwrap();
    let expected = [
        "config.json",
        "processor_config.json",
        shards[0],
        shards[1],
        "pytorch_model.bin.index.json",
        "tokenizer.json",
    ];
    assert_eq!(tree(&folder), expected);
    std::fs::remove_file(folder.join(shards[1])).unwrap();
    let offline = HubOptions {
        offline: true,
        ..hub.options(&cache)
    };
    let error = format!("{:#}", locate(REPO, "main", None, &offline).unwrap_err());
    assert!(
        error.contains(&format!("a copy without {}", shards[1])),
        "{error}"
    );
}

/// transformers 5 nests the image processor in the one, older versions read the other.
#[test]
fn both_files_of_a_processor_are_fetched() {
    let small = ["config.json", "model.safetensors", "tokenizer.json"];
    let both = ["preprocessor_config.json", "processor_config.json"];
    let found = located(&[&small[..], &both].concat());
    assert_eq!(
        found,
        [
            "config.json",
            "model.safetensors",
            "preprocessor_config.json",
            "processor_config.json",
            "tokenizer.json"
        ]
    );
}

#[test]
fn a_lora_repository_is_its_adapter() {
    let adapter = ["adapter_config.json", "adapter_model.safetensors"];
    assert_eq!(
        located(&[&adapter[..], &["README.md", "tokenizer.json"]].concat()),
        adapter
    );
    // With whole weights beside it, it is a model as any other.
    let found = located(&[&SMALL[..], &adapter, &["model.safetensors"]].concat());
    assert!(found.iter().any(|name| name == "model.safetensors"));
    assert!(!found.iter().any(|name| name == "adapter_config.json"));
}

#[test]
fn misbehaving_hubs_give_one_line() {
    let faults = [
        Fault::Api(404, "RepoNotFound"),
        Fault::Api(401, "RepoNotFound"),
        Fault::Api(404, "RevisionNotFound"),
        Fault::Api(401, "GatedRepo"),
        Fault::Api(403, "GatedRepo"),
        Fault::Api(429, ""),
        Fault::Api(500, ""),
        Fault::Files(403),
        Fault::Files(404),
        Fault::Files(503),
        Fault::Changed,
        Fault::SmallChanged,
        Fault::Cut,
        Fault::Gated,
        Fault::Tag("../../../../victim"),
        Fault::Commit("../../../victim"),
        Fault::Longer,
    ];
    let errors = faults.map(refused).join("\n");
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => true,
    }, {
        insta::assert_snapshot!("misbehaving_hubs_give_one_line", errors);
    });
}

#[test]
fn repositories_that_cannot_be_had_give_one_line() {
    let cache = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let down = options(&format!("http://{closed}"), cache.path());
    let offline = HubOptions {
        offline: true,
        ..down.clone()
    };
    let nonsense = HubOptions {
        endpoint: "huggingface.co".to_owned(),
        ..down.clone()
    };
    let (absent, empty) = (folder.path().join("absent"), folder.path());
    let files = repository(&["config.json", "tokenizer.json", "model.safetensors"]);
    let bare = Hub::start(files, Fault::None);
    let errors = [
        locate(REPO, "main", None, &offline),
        locate(REPO, "main", None, &down),
        locate(REPO, "main", None, &nonsense),
        locate("no repository", "main", None, &down),
        locate("../../etc", "main", None, &down),
        locate(REPO, "../main", None, &down),
        locate(REPO, "main", Some(&absent), &down),
        locate(REPO, "main", Some(empty), &down),
        locate(REPO, "main", None, &bare.options(&cache)),
    ];
    let errors = errors
        .map(|error| format!("{:#}", error.unwrap_err()))
        .join("\n");
    let errors = errors
        .replace(&closed.to_string(), "ADDRESS")
        .replace(" (os error 111)", "")
        .replace(" (os error 61)", "")
        .replace(&folder.path().display().to_string(), "FOLDER")
        .replace(&cache.path().display().to_string(), "CACHE");
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => true,
    }, {
        insta::assert_snapshot!("repositories_that_cannot_be_had_give_one_line", errors);
    });
}

/// A tag that is a path: the file there is neither taken for the download nor moved.
#[test]
fn a_tag_that_is_a_path_touches_nothing_outside_the_cache() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim.txt");
    std::fs::write(&victim, "mine").unwrap();
    for tag in [
        victim.display().to_string(),
        format!("../../../../../../../../../../..{}", victim.display()),
    ] {
        let hub = Hub::start(
            repository(&[&SMALL[..], &["model.safetensors"]].concat()),
            Fault::Tag(Box::leak(tag.clone().into_boxed_str())),
        );
        let cache = tempfile::tempdir().unwrap();
        let error = format!(
            "{:#}",
            locate(REPO, "main", None, &hub.options(&cache)).unwrap_err()
        );
        assert!(
            error.contains(&tag[..20]) && error.ends_with("a path: it is not trusted"),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        assert_eq!(tree(cache.path()), [""; 0]);
    }
    assert_eq!(tree(outside.path()), ["victim.txt"]);
}

#[test]
fn a_renamed_repository_is_followed_to_its_checksums() {
    let hub = Hub::start(
        repository(&[&SMALL[..], &["model.safetensors"]].concat()),
        Fault::Renamed,
    );
    let cache = tempfile::tempdir().unwrap();
    let folder = locate(REPO, "main", None, &hub.options(&cache)).unwrap();
    for (name, digits) in [("config.json", 40), ("model.safetensors", 64)] {
        let blob = std::fs::canonicalize(folder.join(name)).unwrap();
        assert_eq!(
            blob.file_name().unwrap().len(),
            digits,
            "{name} was not compared with its checksum"
        );
    }
}

/// The address of a mirror that redirects every request to `target` (itself, where there is none),
/// and the requests that it got, with their tokens.
fn mirror(target: Option<&str>, status: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let server = Server::http("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", server.server_addr());
    let target = target.unwrap_or(&endpoint).to_owned();
    let log = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&log);
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let mut headers = request.headers().iter();
            let token = headers.find(|header| header.field.equiv("Authorization"));
            let token = token.map_or("no token", |header| header.value.as_str());
            log.lock()
                .unwrap()
                .push(format!("{} {}: {token}", request.method(), request.url()));
            let location = header("Location", &format!("{target}{}", request.url()));
            let _ = request.respond(Response::empty(status).with_header(location));
        }
    });
    (endpoint, requests)
}

/// The checksums are the hub's, and the token stays with the mirror, which it is for.
#[test]
fn a_mirror_that_redirects_is_followed_without_the_token() {
    if std::env::var_os(AS_CHILD).is_some() {
        return locate_as_the_environment_says();
    }
    for status in [301, 302, 307, 308] {
        let files = repository(&[&SMALL[..], &["model.safetensors"]].concat());
        let hub = Hub::start(files, Fault::NoToken);
        let (endpoint, requests) = mirror(Some(&hub.endpoint), status);
        let home = tempfile::tempdir().unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "hub::a_mirror_that_redirects_is_followed_without_the_token",
                "--nocapture",
            ])
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_TOKEN_PATH")
            .env(AS_CHILD, "1")
            .env("HF_HUB_CACHE", home.path())
            .env("HF_ENDPOINT", &endpoint)
            .env("HF_TOKEN", "hf_opensesame")
            .env("HF_HUB_DISABLE_XET", "1")
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let folder = home
            .path()
            .join("models--someone--matcha/snapshots")
            .join(COMMIT);
        assert!(
            text.contains(&format!("found {}", folder.display())),
            "{text}"
        );
        assert!(
            !text.contains("checksum") && !text.contains("XET"),
            "{text}"
        );
        for (name, digits) in [("config.json", 40), ("model.safetensors", 64)] {
            let blob = std::fs::canonicalize(folder.join(name)).unwrap();
            assert_eq!(blob.file_name().unwrap().len(), digits, "{status} {name}");
        }
        let requests = requests.lock().unwrap();
        assert!(!requests.is_empty());
        let with_token = |request: &String| request.ends_with(": Bearer hf_opensesame");
        assert!(requests.iter().all(with_token), "{requests:?}");
    }
}

#[test]
fn redirects_in_a_circle_end() {
    let (endpoint, requests) = mirror(None, 302);
    let cache = tempfile::tempdir().unwrap();
    let error = locate(REPO, "main", None, &options(&endpoint, cache.path())).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!("{endpoint} redirects {REPO}@main more than 10 times: check HF_ENDPOINT")
    );
    assert_eq!(requests.lock().unwrap().len(), 11);
}

/// A mirror whose files are at a store that knows no hub's headers: it states no checksums.
#[test]
fn a_store_behind_a_mirror_delivers_without_checksums() {
    let content = repository(&SMALL);
    let store = Server::http("127.0.0.1:0").unwrap();
    let address = format!("http://{}", store.server_addr());
    let files = content.clone();
    std::thread::spawn(move || {
        for request in store.incoming_requests() {
            let name = request.url().trim_start_matches('/').to_owned();
            let response = match (request.method(), files.get(&name)) {
                (Method::Get, Some(content)) => Response::from_data(content.clone()),
                _ => Response::from_data(Vec::new()).with_status_code(403),
            };
            // A tag of its own, in the form of a checksum.
            let tag = header("ETag", &format!("\"{}\"", "ab".repeat(20)));
            let _ = request.respond(response.with_header(tag));
        }
    });
    let front = Server::http("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", front.server_addr());
    std::thread::spawn(move || {
        for request in front.incoming_requests() {
            let url = request.url().to_owned();
            let _ = match url.strip_prefix(&format!("/{REPO}/resolve/{COMMIT}/")) {
                None => request.respond(listing(&content, COMMIT)),
                Some(name) => request.respond(
                    Response::empty(302)
                        .with_header(header("Location", &format!("{address}/{name}"))),
                ),
            };
        }
    });
    let cache = tempfile::tempdir().unwrap();
    let path = chartbench::adapter::hub::file(
        REPO,
        "main",
        "config.json",
        &options(&endpoint, cache.path()),
    )
    .unwrap();
    assert_eq!(
        std::fs::read(path).unwrap(),
        repository(&["config.json"])["config.json"]
    );
}

#[test]
fn a_tag_that_is_no_checksum_is_not_taken_for_one() {
    let hub = Hub::start(
        repository(&[&SMALL[..], &["model.safetensors"]].concat()),
        Fault::Tag("5f3-1a2b"),
    );
    let cache = tempfile::tempdir().unwrap();
    let folder = locate(REPO, "main", None, &hub.options(&cache)).unwrap();
    let blob = std::fs::canonicalize(folder.join("config.json")).unwrap();
    let content = std::fs::read(&blob).unwrap();
    assert_eq!(content, repository(&["config.json"])["config.json"]);
    assert_eq!(
        blob.file_name().unwrap().to_str().unwrap(),
        hex(&sha2::Sha256::digest(content))
    );
}

/// Answers nothing, or the first bytes of an answer; the connections stay open.
fn silent_hub(beginning: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(beginning);
            open.push(stream);
        }
    });
    format!("http://{address}")
}

#[test]
fn a_hub_that_says_nothing_is_not_waited_for() {
    let begun = Instant::now();
    for beginning in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"sha\":",
    ] {
        let (endpoint, cache) = (silent_hub(beginning), tempfile::tempdir().unwrap());
        let options = HubOptions {
            retries: 5,
            timeout: Duration::from_millis(500),
            ..options(&endpoint, cache.path())
        };
        let error = format!("{:#}", locate(REPO, "main", None, &options).unwrap_err());
        let line = format!(
            "{endpoint} sent nothing of {REPO}@main for 0.5 s: try again later, or set HF_HUB_DOWNLOAD_TIMEOUT to more \
             seconds"
        );
        assert_eq!(error, line);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_folder_of_ones_own_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let offline = HubOptions {
        offline: true,
        ..HubOptions::from_env(true)
    };
    assert_eq!(
        locate(REPO, "main", Some(folder.path()), &offline).unwrap(),
        folder.path()
    );
}

#[test]
fn the_environment_names_hub_cache_and_token() {
    if std::env::var_os(AS_CHILD).is_some() {
        return locate_as_the_environment_says();
    }
    let hub = Hub::start(
        repository(&[&SMALL[..], &["model.safetensors"]].concat()),
        Fault::Gated,
    );
    let home = tempfile::tempdir().unwrap();
    let child = |variables: &[(&str, &str)]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "hub::the_environment_names_hub_cache_and_token",
            "--nocapture",
        ]);
        for name in [
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_TOKEN_PATH",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
        ] {
            command.env_remove(name);
        }
        command
            .env(AS_CHILD, "1")
            .env("HF_HOME", home.path())
            .env("HF_ENDPOINT", format!("{}/", hub.endpoint))
            .env("NO_PROXY", "127.0.0.1");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let refused = child(&[]);
    assert!(
        refused.contains("HF_TOKEN") && refused.contains("gated"),
        "{refused}"
    );
    let offline = child(&[("HF_HUB_OFFLINE", "1"), ("HF_TOKEN", "opensesame")]);
    assert!(
        offline.contains("downloads are off") && !offline.contains("opensesame"),
        "{offline}"
    );
    let granted = child(&[("HF_TOKEN", "opensesame")]);
    let folder = home
        .path()
        .join("hub/models--someone--matcha/snapshots")
        .join(COMMIT);
    assert!(
        granted.contains(&format!("found {}", folder.display())),
        "{granted}"
    );
    for file in tree(home.path()) {
        let content = std::fs::read(home.path().join(file)).unwrap();
        assert!(!content.windows(10).any(|window| window == b"opensesame"));
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = format!("http://me:hunter2@{closed}");
    let down = child(&[
        ("HF_ENDPOINT", endpoint.as_str()),
        ("HF_HUB_CACHE", "/nowhere"),
    ]);
    assert!(
        down.contains(&format!("cannot reach http://{closed} for")) && !down.contains("hunter2"),
        "{down}"
    );
    let nonsense = child(&[
        ("HF_ENDPOINT", "me:hunter2@hub.example"),
        ("HF_HUB_CACHE", "/nowhere"),
    ]);
    assert!(
        nonsense.contains("HF_ENDPOINT `hub.example` is no address")
            && !nonsense.contains("hunter2"),
        "{nonsense}"
    );
    // A hub that repeats the token in its error.
    let echo = Hub::start(repository(&SMALL), Fault::Echo);
    let token = [
        ("HF_ENDPOINT", echo.endpoint.as_str()),
        ("HF_HUB_CACHE", "/nowhere"),
        ("HF_TOKEN", "hf_opensesame"),
    ];
    let echoed = child(&token);
    assert!(
        echoed.contains("answered 500") && !echoed.contains("opensesame"),
        "{echoed}"
    );
    let silent = silent_hub(b"");
    let short = [
        ("HF_ENDPOINT", silent.as_str()),
        ("HF_HUB_CACHE", "/nowhere"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "0.25"),
    ];
    assert!(child(&short).contains("for 0.25 s"), "{}", child(&short));
}

/// What a child process of the test above does: it alone has those variables.
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn locate_as_the_environment_says() {
    let options = HubOptions {
        retries: 0,
        ..HubOptions::from_env(false)
    };
    match locate(REPO, "main", None, &options) {
        Ok(folder) => println!("found {}", folder.display()),
        Err(error) => println!("{error:#}"),
    }
}

/// Graphs in a folder of their own, with the weights that lie beside one of them; the others stay
/// where they are.
#[cfg(feature = "onnx")]
#[test]
fn exports_are_downloaded_with_their_graphs() {
    let graphs = [
        "onnx/decoder_model.onnx",
        "onnx/decoder_model_merged.onnx",
        "onnx/decoder_model_merged.onnx_data",
        "onnx/encoder_model.onnx",
        "onnx/encoder_model_quantized.onnx",
    ];
    let (cache, hub) = (
        tempfile::tempdir().unwrap(),
        Hub::start(repository(&[&SMALL[..], &graphs].concat()), Fault::None),
    );
    let snapshot = locate_export(REPO, "main", None, &hub.options(&cache), false).unwrap();
    let mut names = SMALL.map(str::to_owned).to_vec();
    names.extend([graphs[1], graphs[2], graphs[3]].map(str::to_owned));
    names.sort();
    assert_eq!(tree(&snapshot), names);
    assert_eq!(
        std::fs::read(snapshot.join(graphs[2])).unwrap(),
        repository(&graphs)[graphs[2]]
    );
    let requests = hub.requests();
    assert_eq!(
        locate_export(REPO, "main", None, &hub.options(&cache), false).unwrap(),
        snapshot
    );
    assert_eq!(hub.requests(), requests);
    let error = locate_export(REPO, "main", None, &hub.options(&cache), true).unwrap_err();
    assert!(
        format!("{error:#}").contains("has no encoder_model_quantized.onnx with "),
        "{error:#}"
    );
}
