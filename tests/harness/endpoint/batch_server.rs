//! A server that also takes batches: files, batches and their replies, and whatever else it is told
//! to do with them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Act, Seen, Server};

/// How a batch ends.
pub(crate) struct Ended {
    pub status: String,
    /// The lines of its replies and of its errors.
    pub output: Vec<String>,
    pub errors: Vec<String>,
    /// Why it failed.
    pub message: Option<String>,
}

/// The reply to the body of a completion.
type Reply = dyn Fn(&Value) -> Value + Send + Sync;
/// How the n-th batch with these requests ends; `None` while it does not.
type End = dyn Fn(usize, &[Value]) -> Option<Ended> + Send + Sync;
/// Replaces the reply to a request, after the server has done what it asks for.
type Twist = dyn Fn(&Seen, &Value) -> Option<Act> + Send + Sync;

/// The files and batches of the server. They outlive it, as a service's data do.
#[derive(Default)]
pub(crate) struct Stored {
    /// The requests of each file.
    pub files: Vec<Vec<Value>>,
    /// The files of the batches.
    pub batches: Vec<usize>,
}

pub(crate) struct BatchServer {
    pub server: Server,
    pub stored: Arc<Mutex<Stored>>,
}

/// How a server behaves.
pub(crate) struct Behavior {
    pub reply: Box<Reply>,
    pub end: Box<End>,
    pub twist: Box<Twist>,
}

impl Behavior {
    /// Answers by `reply`, alone and in batches, which are done at the second look; their lines come
    /// in reversed order.
    pub(crate) fn new(reply: impl Fn(&Value) -> Value + Send + Sync + Clone + 'static) -> Self {
        let in_batches = reply.clone();
        Self {
            reply: Box::new(reply),
            end: Box::new(move |_, requests| {
                let lines = requests.iter().rev();
                Some(done(
                    lines.map(|line| answered(line, &in_batches(&line["body"]))),
                ))
            }),
            twist: Box::new(|_, _| None),
        }
    }
}

/// A batch that is done.
pub(crate) fn done(lines: impl Iterator<Item = String>) -> Ended {
    Ended {
        status: "completed".to_owned(),
        output: lines.collect(),
        errors: Vec::new(),
        message: None,
    }
}

/// The line of a reply.
pub(crate) fn answered(request: &Value, body: &Value) -> String {
    let response = json!({"status_code": 200, "request_id": "x", "body": body});
    json!({"id": "b", "custom_id": request["custom_id"], "response": response, "error": null})
        .to_string()
}

/// The text of a completion's last message.
pub(crate) fn prompt(body: &Value) -> String {
    let content = &body["messages"].as_array().unwrap().last().unwrap()["content"];
    let text = content.as_str().or_else(|| content[1]["text"].as_str());
    text.unwrap().to_owned()
}

impl BatchServer {
    pub(crate) fn start(behavior: Behavior) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::at(address, Arc::default(), behavior)
    }

    pub(crate) fn at(address: SocketAddr, stored: Arc<Mutex<Stored>>, behavior: Behavior) -> Self {
        let (shared, polls) = (Arc::clone(&stored), Mutex::new(Vec::new()));
        let server = Server::at(address, move |_, seen| {
            let reply = act(&shared, &polls, &behavior, seen);
            (behavior.twist)(seen, &reply).unwrap_or(match reply {
                Value::Null => Act::Status(404, "X-A: b", "{\"error\": \"no such path\"}".into()),
                Value::String(text) => Act::Body(text),
                reply => Act::Body(reply.to_string()),
            })
        });
        Self { server, stored }
    }

    /// The requests of each batch.
    pub(crate) fn batches(&self) -> Vec<Vec<Value>> {
        let stored = self.stored.lock().unwrap();
        let files = stored.batches.iter();
        files.map(|&file| stored.files[file].clone()).collect()
    }

    /// How often such a request came.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let seen = self.server.seen();
        let is_such = |seen: &&Seen| seen.method == method && seen.path == path;
        seen.iter().filter(is_such).count()
    }
}

/// Does what a request asks for; returns the reply.
fn act(
    stored: &Mutex<Stored>,
    polls: &Mutex<Vec<usize>>,
    behavior: &Behavior,
    seen: &Seen,
) -> Value {
    let mut stored = stored.lock().unwrap();
    let path = seen.path.split('?').next().unwrap();
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let number = |name: &str| name.rsplit('-').next().unwrap().parse::<usize>().unwrap();
    let requests = |stored: &Stored, batch: usize| stored.files[stored.batches[batch]].clone();
    match (seen.method.as_str(), parts.as_slice()) {
        ("POST", ["chat", "completions"]) => (behavior.reply)(&seen.body),
        ("POST", ["files"]) => {
            stored.files.push(uploaded(&seen.text));
            json!({"object": "file", "id": format!("file-{}", stored.files.len() - 1)})
        }
        ("POST", ["batches"]) => {
            assert_eq!(seen.body["endpoint"], "/v1/chat/completions");
            assert_eq!(seen.body["completion_window"], "24h");
            let file = number(seen.body["input_file_id"].as_str().unwrap());
            stored.batches.push(file);
            json!({"id": format!("batch-{}", stored.batches.len() - 1), "status": "validating"})
        }
        ("GET", ["batches"]) => {
            // Pages of one batch.
            let after = seen.path.split("after=batch-").nth(1).map(number);
            let next = after.map_or(0, |after| after + 1);
            let batch = stored.batches.get(next).map(|file| {
                json!({"id": format!("batch-{next}"), "input_file_id": format!("file-{file}")})
            });
            let data: Vec<&Value> = batch.iter().collect();
            json!({"object": "list", "data": data, "has_more": next + 1 < stored.batches.len()})
        }
        ("GET", ["batches", id]) => {
            let (batch, mut polls) = (number(id), polls.lock().unwrap());
            polls.push(batch);
            let looks = polls.iter().filter(|looked| **looked == batch).count();
            let requests = requests(&stored, batch);
            let ended = (behavior.end)(batch, &requests).filter(|_| looks > 1);
            let counts = json!({"total": requests.len(), "completed": looks - 1, "failed": 0});
            match ended {
                None => json!({"id": id, "status": "in_progress", "request_counts": counts}),
                Some(ended) => json!({
                    "id": id,
                    "status": ended.status,
                    "request_counts": counts,
                    "output_file_id": (!ended.output.is_empty()).then(|| format!("output-{batch}")),
                    "error_file_id": (!ended.errors.is_empty()).then(|| format!("errors-{batch}")),
                    "errors": ended.message.map(|message| json!({"data": [{"message": message}]})),
                }),
            }
        }
        ("GET", ["files", file, "content"]) => {
            let batch = number(file);
            let ended = (behavior.end)(batch, &requests(&stored, batch)).unwrap();
            let lines = match file.starts_with("output") {
                true => ended.output,
                false => ended.errors,
            };
            Value::String(lines.join("\n") + "\n")
        }
        _ => Value::Null,
    }
}

/// The requests in a form that uploads a file.
fn uploaded(form: &str) -> Vec<Value> {
    let boundary = form.lines().next().unwrap();
    let parts: Vec<&str> = form.split(boundary).collect();
    assert_eq!(parts.len(), 4, "two parts, and the end");
    assert!(
        parts[1].contains("name=\"purpose\"\r\n\r\nbatch\r\n"),
        "{}",
        parts[1]
    );
    let (head, file) = parts[2].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("name=\"file\"; filename="), "{head}");
    assert_eq!(parts[3], "--\r\n");
    let lines = file.strip_suffix("\r\n").unwrap().lines();
    let requests: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for request in &requests {
        assert_eq!(
            (&request["method"], &request["url"]),
            (&json!("POST"), &json!("/v1/chat/completions"))
        );
    }
    requests
}
