//! Replies of an endpoint, from a server in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock};

use chartbench::adapter::Overrides;
use chartbench::adapter::chat::Chat;
use chartbench::adapter::language_model::{LanguageModel, Sampling};
use chartbench::config::{AdapterSpec, Family};

use super::check_error;
use crate::fixtures;

/// What the server sends next, as it goes over the wire.
static REPLY: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// Asked until it fails as a whole, then made anew: making a client reads the system's
/// certificates.
static CHAT: Mutex<Option<Chat>> = Mutex::new(None);

/// A JSON body with status 200 where the input begins with `{`; behind `E` the body of an error;
/// else a whole HTTP reply.
pub fn reply(input: &[u8]) {
    *REPLY.lock().unwrap() = match input {
        [b'E', body @ ..] => http("500 Internal Server Error", body),
        [b'{', ..] => http("200 OK", input),
        raw => raw.to_vec(),
    };
    let sampling = Sampling {
        samples: 1,
        temperature: 0.0,
        seed: 1,
        max_new_tokens: 8,
        stop: Vec::new(),
    };
    let mut chat = CHAT.lock().unwrap();
    let mut reports = 0;
    let ended = chat.get_or_insert_with(open).complete(
        &["x".to_owned()],
        &sampling,
        &mut |_, completions| {
            reports += 1;
            match &completions {
                Ok(completions) => assert_eq!(completions.len(), 1),
                Err(error) => check_error(error),
            }
        },
    );
    assert_eq!(reports, usize::from(ended.is_ok()));
    if let Err(error) = &ended {
        check_error(error);
        *chat = None;
    }
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn open() -> Chat {
    static PORT: OnceLock<u16> = OnceLock::new();
    let port = PORT.get_or_init(serve);
    let folder = fixtures::scratch(|_| ());
    let file = format!(
        "family = \"chat\"\ntitle = \"t\"\nsource = \"s\"\n[endpoint]\nbase_url = \"http://127.0.0.1:{port}/v1\"\nmodel = \"m\"\n\
         [limits]\nconcurrency = 1\nretries = 0\nanswer_timeout = 2\n[price]\nprompt = 1.0\ncompletion = 2.0\n"
    );
    fixtures::write(&folder.join("fuzzed.toml"), file.as_bytes());
    let spec = AdapterSpec::find("fuzzed", Some(folder)).expect("the file above");
    let Family::Chat(spec) = spec.family else {
        unreachable!("the file above")
    };
    Chat::new("fuzzed", &spec, &Overrides::default()).expect("the file above")
}

/// Starts the server on a port of its own.
fn serve() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("no port");
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that goes away is no fault.
            let _ = answer(&stream);
        }
    });
    port
}

/// Reads one request and sends the reply; the connection then closes.
fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let reply = REPLY.lock().unwrap().clone();
    stream.write_all(&reply)
}

pub fn seeds() -> Vec<Vec<u8>> {
    fixtures::texts(&[
        r#"{"choices": [{"index": 0, "message": {"role": "assistant", "content": "7"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 10, "completion_tokens": 2}}"#,
        r#"{"choices": [{"message": null, "finish_reason": 3}], "usage": null}"#,
        r#"{"choices": [{"message": {"content": [{"type": "text", "text": "a"}], "reasoning": "b", "refusal": "c"}, "finish_reason": "length"}]}"#,
        r#"{"error": {"message": "busy", "code": 429}}"#,
        "E{\"error\": {\"message\": \"no such model\"}}",
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ])
}
