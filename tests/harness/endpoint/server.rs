//! A small HTTP server that answers as `/chat/completions` does, or misbehaves as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What the server does with a request.
pub(crate) enum Act {
    /// A chat completion with this text.
    Say(String),
    /// This body, with status 200.
    Body(String),
    /// This body, and then nothing more, though the connection stays open.
    HeldOpen(String),
    /// A status with a header and a body.
    Status(u16, &'static str, String),
    /// A completion after a while.
    Late(Duration),
    /// Half a completion, then the connection closes.
    Cut,
    /// The connection closes without a byte.
    HangUp,
    /// The server is gone: it closes every connection and listens no more.
    Die,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub at: Instant,
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    /// Azure's header for a key.
    pub api_key: Option<String>,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// A body that is no JSON.
    pub text: String,
    /// Whether a completion was sent back whole.
    pub answered: bool,
}

impl Seen {
    /// The text of the last message, and its picture's data URL.
    pub(crate) fn prompt(&self) -> (String, String) {
        let content = &self.body["messages"].as_array().unwrap().last().unwrap()["content"];
        match content {
            Value::String(text) => (text.clone(), String::new()),
            parts => (
                parts[1]["text"].as_str().unwrap().into(),
                parts[0]["image_url"]["url"].as_str().unwrap().into(),
            ),
        }
    }
}

type Script = dyn Fn(usize, &Seen) -> Act + Send + Sync;

/// The server; `script` says what to do with the n-th request.
pub(crate) struct Server {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<Vec<TcpStream>>,
    dead: AtomicBool,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

pub(crate) fn completion(text: &str) -> Value {
    let message = json!({"role": "assistant", "content": text});
    json!({"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}})
}

impl Server {
    pub(crate) fn start(script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    pub(crate) fn at(
        address: SocketAddr,
        script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            seen: Mutex::default(),
            connections: Mutex::default(),
            dead: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.dead.load(Ordering::SeqCst) {
                    return;
                }
                shared
                    .connections
                    .lock()
                    .unwrap()
                    .push(stream.try_clone().unwrap());
                let state = Arc::clone(&shared);
                std::thread::spawn(move || while state.serve(&stream, address).is_some() {});
            }
        });
        Self { address, state }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.die(self.address);
    }
}

impl State {
    fn die(&self, address: SocketAddr) {
        self.dead.store(true, Ordering::SeqCst);
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which then goes.
        drop(TcpStream::connect(address));
    }

    /// Reads one request and acts on it; none when the connection is to end.
    fn serve(&self, mut stream: &TcpStream, address: SocketAddr) -> Option<()> {
        let request = read_request(stream)?;
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let mut more = 0;
        let (status, header, body, open) = match (self.script)(index, &request) {
            Act::HeldOpen(body) => {
                more = 1000;
                (200, "X-A: b", body, true)
            }
            Act::Say(text) => (200, "X-A: b", completion(&text).to_string(), true),
            Act::Body(body) => (200, "X-A: b", body, true),
            Act::Status(status, header, body) => (status, header, body, true),
            Act::Late(time) => {
                std::thread::sleep(time);
                (200, "X-A: b", completion("late").to_string(), true)
            }
            Act::Cut => (200, "X-A: b", completion("cut").to_string(), false),
            Act::HangUp => {
                let _ = stream.shutdown(Shutdown::Both);
                return None;
            }
            Act::Die => {
                self.die(address);
                return None;
            }
        };
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let head = format!(
            "HTTP/1.1 {status} Status\r\n{header}\r\nContent-Length: {}\r\n\r\n",
            body.len() + more
        );
        let sent = if open {
            body.as_str()
        } else {
            &body[..body.len() / 2]
        };
        let whole = stream.write_all(format!("{head}{sent}").as_bytes()).is_ok();
        if !open {
            let _ = stream.shutdown(Shutdown::Both);
            return None;
        }
        self.seen.lock().unwrap()[index].answered = whole && status == 200;
        whole.then_some(())
    }
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|length| *length > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut authorization, mut api_key) = (0, None, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            "api-key" => api_key = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let json: Option<Value> = serde_json::from_slice(&body).ok();
    Some(Seen {
        at: Instant::now(),
        method,
        path,
        authorization,
        api_key,
        text: match &json {
            Some(_) => String::new(),
            None => String::from_utf8(body).ok()?,
        },
        body: json.unwrap_or_default(),
        answered: false,
    })
}
