//! Chat templates of the families this program runs, as their model cards have them.

use chartbench::adapter::gguf::ChatTemplate;

use super::tiny::CHATML;

const SMOLLM2: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ \
    '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}\
    {{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const LLAMA3: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = \
    '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}\
    {% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

const GEMMA: &str = "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n    {{ raise_exception('System role not \
    supported') }}\n{%- endif -%}\n{%- for message in messages -%}\n    {%- if (message['role'] == 'user') != \
    (loop.index0 % 2 == 0) -%}\n        {{ raise_exception('Conversation roles must alternate') }}\n    {%- endif -%}\n    \
    {%- if (message['role'] == 'assistant') -%}\n        {%- set role = 'model' -%}\n    {%- else -%}\n        \
    {%- set role = message['role'] -%}\n    {%- endif -%}\n    {{ '<start_of_turn>' + role + '\n' }}\n    \
    {%- if message['content'] is string -%}\n        {{ message['content'] | trim }}\n    {%- elif message['content'] is \
    iterable -%}\n        {{ raise_exception('Invalid content type') }}\n    {%- endif -%}\n    {{ '<end_of_turn>\n' }}\n\
    {%- endfor -%}\n{%- if add_generation_prompt -%}\n    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n";

const PHI3: &str = "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + \
    '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif \
    message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}";

/// The parts of Qwen 3's template that a user's message reaches.
const QWEN3: &str = "{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}\n\
    {%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    \
    {%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith(\
    '<tool_response>') and message.content.endswith('</tool_response>')) %}\n        {%- set ns.multi_step_tool = false %}\n\
            {%- set ns.last_query_index = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n    \
    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first) %}\n        {{- '<|im_start|>' + \
    message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n    {%- endif %}\n{%- endfor %}\n\
    {%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking is defined and \
    enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}";

const DATED: &str = "{%- if strftime_now is defined %}{%- set today = strftime_now('%d %b %Y') %}{%- endif %}{{ today }}\n\
    {% if messages %}\n    {{ messages[0].content.strip() }}\n{% endif %}\n";

fn render(template: &str) -> String {
    let template = ChatTemplate::new(template.to_owned(), "<BOS>", "<EOS>").unwrap();
    template.render("Q: \"<b>\"?\nA: ").unwrap()
}

#[test]
fn templates_render_as_in_transformers() {
    let templates = [
        ("chatml", CHATML),
        ("smollm2", SMOLLM2),
        ("llama 3", LLAMA3),
        ("gemma", GEMMA),
        ("phi 3", PHI3),
        ("qwen 3", QWEN3),
        ("one that asks for the date", DATED),
    ];
    let rendered: Vec<String> = templates
        .map(|(name, template)| format!("== {name}\n{}", render(template)))
        .into();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => path, prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!("chat_templates", rendered.join("\n"));
    });
}

#[test]
fn faults_of_templates_are_one_line() {
    let refused = |template: &str| {
        let template = ChatTemplate::new(template.to_owned(), "", "");
        let line = format!(
            "{:#}",
            template
                .and_then(|template| template.render("x"))
                .unwrap_err()
        );
        assert!(!line.contains('\n'), "{line}");
        line
    };
    assert!(
        refused("a\n{% if %}").contains("does not parse"),
        "{}",
        refused("a\n{% if %}")
    );
    assert!(refused("{{ raise_exception('no users here') }}").contains("no users here"));
    assert!(refused("{{ nothing.like.this() }}").contains("cannot be rendered"));
}

#[test]
fn a_template_without_an_end_is_stopped() {
    let refused = |template: &str| {
        let template = ChatTemplate::new(template.to_owned(), "", "").unwrap();
        format!("{:#}", template.render("x").unwrap_err())
    };
    let loops = "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}";
    let ends = "{% endfor %}{% endfor %}{% endfor %}";
    let endless = refused(&format!("{loops}{ends}"));
    assert_eq!(
        endless,
        "its chat template cannot be rendered: it takes more than 1000000 steps"
    );
    let long = refused(&format!(
        "{{% set text = 'x' * 100000 %}}{loops}{{{{ text }}}}{ends}"
    ));
    assert_eq!(
        long,
        "its chat template cannot be rendered: it writes more than 16777217 bytes"
    );
}
