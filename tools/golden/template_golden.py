"""Writes tests/data/text/templates.json: what the reference renders of chat templates, for tests/text/test_template.c.

chats     whole templates of the kinds that models have (chat turns, rerankers, tools, reasoning), rendered for lists
          of messages: the text, or null where the reference raises an exception
snippets  small templates for one thing each, rendered once with the names of "names"

All templates are written for this file. The reference is jinja2 as transformers sets it up for chat templates.

usage: python tools/golden/template_golden.py   (needs transformers, jinja2)
"""

import json
from importlib.metadata import version
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

OUT = Path(__file__).resolve().parent.parent.parent / "tests" / "data" / "text" / "templates.json"

CHATML = """{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- else %}
    {{- "<|im_start|>system\\nAnswer in one word.<|im_end|>\\n" }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' }}
    {{- '\\n' if not loop.last }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '\\n<|im_start|>assistant\\n' }}
{%- endif %}
"""

RERANK = """{%- set rule = messages | selectattr("role", "eq", "system") | map(attribute="content") | first
    | default("Find what answers the question.") -%}
{%- set query = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}
{%- set document = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}
<|im_start|>system
Does the document meet the need? Say "yes" or "no".<|im_end|>
<|im_start|>user
<Rule>: {{ rule }}
<Query>: {{ query }}
<Document>: {{ document }}<|im_end|>
<|im_start|>assistant
<think>

</think>

"""

RERANK_PARTS = """{% set ns = namespace(query='', document='', rule='Judge.') %}
{% for message in messages %}
  {% if message.role == 'system' %}
    {% set ns.rule = message.content[0].text %}
  {% elif message['role'] == 'query' %}
    {% set ns.query = message['content'][0]['text'] %}
  {% elif message.role == "document" %}
    {% set ns.document = message.content | map(attribute='text') | join('\\n') %}
  {% else %}
    {{ raise_exception('the role ' ~ message.role ~ ' is unknown') }}
  {% endif %}
{% endfor %}
{{ bos_token }}rule: {{ ns.rule }}

query: {{ ns.query }}
document: {{ ns.document }}
relevant: """

TURNS = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{% set first = messages[0]['content'] | trim + '\\n\\n' %}{% set rest = messages[1:] %}
{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}
{% for message in rest %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must take turns: user, assistant, user, ...') }}
{% endif %}
{% set role = 'model' if message['role'] == 'assistant' else message.role %}
{{ '<start_of_turn>' + role + '\\n' + (first if loop.first else '') }}
{%- if message['content'] is string -%}
{{ message['content'] | trim }}
{%- elif message['content'] is iterable -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'text' -%}{{ part['text'] | trim }}{%- endif -%}
{%- endfor -%}
{%- else -%}
{{ raise_exception('a content of no known kind') }}
{%- endif -%}
{{ '<end_of_turn>\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}
"""

TOOLS = """{%- macro argument(name, value, more=false) -%}
{{ name }}={{ value | tojson }}{% if more %}, {% endif %}
{%- endmacro -%}
{%- if tools is not none and tools %}
<tools>
{%- for tool in tools %}
{{ tool | tojson(indent=2) }}
{%- endfor %}
</tools>
{%- endif %}
{%- set ns = namespace(last=messages | length - 1, many=true) %}
{%- for message in messages[::-1] %}
{%- set index = (messages | length - 1) - loop.index0 %}
{%- set closed = message.content.startswith('<reply>') and message.content.endswith('</reply>') %}
{%- if ns.many and message.role == "user" and not closed %}
{%- set ns.many = false %}{%- set ns.last = index %}
{%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- set content = message.content %}
{%- set thought = '' %}
{%- if message.thought is defined and message.thought is not none %}
{%- set thought = message.thought %}
{%- elif '</think>' in content %}
{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
[{{ loop.index }}/{{ loop.length }} {{ message.role | upper }}{{ ' last' if loop.index0 > ns.last else '' }}]
{%- if thought %} ({{ thought.strip() }}){% endif %} {{ content }}
{%- for call in message.calls or [] %}
 {{ call.name }}({%- for name, value in call.arguments.items() -%}
{{ argument(name, value, more=not loop.last) }}{%- endfor -%})
{%- else %}.
{%- endfor %}
{%- endfor %}
"""

ODD = ["plain", "", "  spaces \n around\t", "{{ bos_token }} {% if x %} {# no #}",
       "<|im_start|>system\nignore<|im_end|>", "<|im_end|>", "</s><s>",
       "\u00e9\u4e2d\U0001f600 \u00a0\u2003", "a\x00b\x1f\x7f", "\\n 'quoted' \"double\"",
       "<think>\nwhy\n</think>\n\nso", "%}{{", "<reply>x</reply>", "\r\n\r", "\u2028line\u0085"]


def turns(*texts, roles=("user", "assistant")):
    return [{"role": roles[i % len(roles)], "content": text} for i, text in enumerate(texts)]


def pairs():
    chats = [turns("q?", text, roles=("query", "document")) for text in ODD]
    chats += [[{"role": "system", "content": "Be strict."}] + turns(text, "d", roles=("query", "document"))
              for text in ODD[:6]]
    return chats


def in_parts(chat):
    return [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in chat]


CHATS = [
    {"name": "chatml", "source": CHATML, "chats": [turns(*ODD[i:i + 3]) for i in range(len(ODD))] + pairs()},
    {"name": "chatml prompt", "source": CHATML, "names": {"add_generation_prompt": True}, "chats": [turns("a", "b")]},
    {"name": "rerank", "source": RERANK, "chats": pairs()},
    {"name": "rerank parts", "source": RERANK_PARTS, "names": {"bos_token": "<bos>"},
     "chats": [in_parts(chat) for chat in pairs()] + [in_parts(turns("a"))]},
    {"name": "turns", "source": TURNS, "names": {"bos_token": "<s>", "add_generation_prompt": True},
     "chats": [turns(*ODD[i:i + 3]) for i in range(len(ODD))] + [turns("a", "b", roles=("user",))]
              + [[{"role": "system", "content": " s "}] + turns("x", "y")] + [in_parts(turns(" a ", "b"))]},
    {"name": "tools", "source": TOOLS,
     "names": {"tools": [{"name": "f",
                          "parameters": {"x": 1, "y": [1.5, None, True, "\u00e9\"\n"], "z": {}, "w": []}}]},
     "chats": [turns(*ODD[i:i + 3]) for i in range(len(ODD))]},
    {"name": "windows lines", "source": RERANK_PARTS.replace("\n", "\r\n") + "\r\n", "names": {"bos_token": ""},
     "chats": [in_parts(pairs()[0])]},
]

NAMES = {"s": "Hello, World", "e": "", "u": "\u00e9t\u00e9 \u4e2d\U0001f600", "n": 7, "z": 0, "f": 2.5, "t": True,
         "no": None, "l": [3, 1, 2], "w": ["a", "b", "c"], "m": {"k": "v", "two": 2, "items": "i"},
         "nest": [{"a": 1}, {"a": 2, "b": 0}],
         "pad": " \n x y  "}

SNIPPETS = """{{ s }}|{{ e }}|{{ n }}|{{ f }}|{{ t }}|{{ no }}|{{ missing }}
{{ s[0] }}{{ s[-1] }}{{ s[100] }}{{ u[0] }}{{ u[4] }}{{ u[-1] }}
{{ s[1:3] }}|{{ s[:-1] }}|{{ s[::-1] }}|{{ s[5:1:-2] }}|{{ u[::2] }}|{{ s[-100:100] }}|{{ s[3:1] }}
{{ l[0] }}{{ l[-1] }}{{ l[5] }}|{{ l[1:] | join }}|{{ l[::-1] | join(',') }}|{{ l[::2] | join(' ') }}
{{ m.k }}{{ m['two'] }}{{ m.none }}{{ m['items'] }}{{ m.get('k') }}{{ m.get('x') }}{{ m.get('x', 5) }}
{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}{{ m.keys() | join(',') }}{{ m.values() | list | length }}
{% for k in m %}{{ k }}{% endfor %}{{ 'k' in m }}{{ 'x' not in m }}
{{ 1 + 2 * 3 - 4 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 7 / 2 }}|{{ 8 / 2 }}|{{ 1 / 3 }}
{{ 1.5 + 1 }}|{{ 0.1 + 0.2 }}
{{ 2.0 * 3 }}|{{ 100000000.0 * 100000000.0 }}|{{ 1 / 100000 }}|{{ 123456789012345.0 * 10 }}|{{ 0.0001 }}|{{ -2.5 }}
{{ 'a' ~ 1 ~ none ~ true ~ missing }}|{{ 'a' + 'b' * 3 }}|{{ 'x' * 0 }}|{{ 'x' * -1 }}
{{ (l + [4]) | length }}{{ ([1] + [2]) == [1, 2] }}{{ [1] == [1, 2] }}{{ {'a': 1} == {'a': 1.0} }}
{{ 1 == 1.0 }}{{ 1 == true }}{{ 'a' == 1 }}{{ none == none }}{{ missing == missing2 }}{{ 'a' < 'b' }}{{ 'B' < 'a' }}
{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 2 >= 2 }}{{ 1 != 2 }}
{{ 'a' in 'cat' }}{{ 'x' not in 'cat' }}{{ 2 in l }}{{ '' in s }}
{{ not true }}{{ not e }}{{ e or 'x' }}{{ s and 'y' }}{{ no or z or 'last' }}{{ 1 and 0 }}{{ not n and 1 }}
{{ 'a' if t else 'b' }}{{ 'a' if z else 'b' }}{{ 'a' if z }}{{ 'a' if z else 'b' if e else 'c' }}
{{ pad | trim }}|{{ pad.strip() }}|{{ pad.lstrip() }}
{{ pad.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba' | trim('ab') }}
{{ s | upper }}{{ s.lower() }}{{ 'hELLO wORLD' | capitalize }}
{{ 'hello big-world (x) it''s' | title }}{{ s | length }}{{ u | length }}
{{ missing | default('d') }}{{ e | default('d') }}{{ e | default('d', true) }}
{{ no | default('d') }}{{ no | d('x', boolean=true) }}{{ missing | default }}
{{ w | join }}{{ w | join(', ') }}{{ w | join(d='-') }}{{ nest | join('+', attribute='a') }}
{{ w | first }}{{ w | last }}{{ s | first }}{{ [] | first }}{{ [] | last }}
{{ s | replace('l', 'L') }}|{{ s.replace('l', 'L', 1) }}|{{ s | replace('', '-', 3) }}
{{ 'ab'.replace('', '.') }}|{{ 'aaa'.replace('aa', 'b') }}
{{ s.split() | join('|') }}|{{ s.split(',') | join('|') }}|{{ 'a,b,c'.split(',', 1) | join('|') }}
{{ pad.split() | join('|') }}|{{ ' a  b c '.split(none, 1) | join('|') }}
{{ 'a--b'.split('--')[-1] }}{{ ''.split(',') | length }}{{ ''.split() | length }}{{ ',a,'.split(',') | length }}
{{ s.startswith('He') }}{{ s.endswith('ld') }}
{{ s.startswith(('x', 'H')) }}{{ s.startswith('') }}{{ e.endswith('x') }}
{{ m | tojson }}|{{ nest | tojson }}|{{ u | tojson }}|{{ 1.0 | tojson }}
{{ none | tojson }}|{{ [] | tojson }}|{{ {} | tojson(indent=2) }}
{{ nest | tojson(indent=2) }}|{{ [1, [2, []]] | tojson(indent=4) }}|{{ '\\x00\\x1f\\x7f/' | tojson }}
{{ nest | selectattr('b', 'defined') | map(attribute='a') | join }}
{{ nest | selectattr('a', 'eq', 1) | list | length }}
{{ nest | rejectattr('a', 'equalto', 1) | map(attribute='a') | first }}{{ nest | selectattr('b') | list | length }}
{{ w | select('in', ['a', 'c']) | join }}{{ w | reject('equalto', 'b') | join }}
{{ ['', 'x'] | select | join }}{{ w | map('upper') | join }}
{{ '12' | int + 1 }}{{ 'x' | int }}{{ 'x' | int(5) }}{{ 3.9 | int }}
{{ true | int }}{{ ' 7 ' | int }}{{ 5 | string + 'x' }}{{ -3 | string }}
{{ w | reverse | join }}{{ 'abc' | reverse }}{{ m | items | list | length }}{{ 'abc' | list | join('.') }}
{{ x is defined }}{{ s is defined }}{{ m.q is defined }}
{{ m.k is not none }}{{ no is none }}{{ s is string }}{{ n is string }}
{{ m is mapping }}{{ l is mapping }}{{ l is iterable }}{{ n is iterable }}{{ s is sequence }}{{ n is number }}
{{ f is float }}{{ n is integer }}{{ t is integer }}{{ t is boolean }}{{ t is true }}{{ z is false }}
{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}
{{ n is eq 7 }}{{ n is gt 5 }}{{ n is lt(5) }}{{ 'a' is in w }}{{ n is not undefined }}
{{ range(3) | list | length }}{% for i in range(2, 8, 3) %}{{ i }},{% endfor %}
{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}{{ range(0) | list | length }}
{% for x in w %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }};{% endfor %}
{% for x in w %}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for x in w if x != 'b' %}{{ loop.index }}{{ x }}{{ loop.last }}{% else %}none{% endfor %}
{% for x in [] %}{% else %}empty{% endfor %}
{% for x in w %}{% for y in l %}{{ loop.depth }}{{ y }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in w %}{% if x == 'b' %}{% continue %}{% endif %}{{ x }}{% if loop.last %}{% break %}{% endif %}{% endfor %}
{% for x in w %}{{ x }}{% break %}{% endfor %}
{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }};{% endfor %}
{% for (a, b) in [(1, 2)] %}{{ a + b }}{% endfor %}{% for c in 'a\u00e9' %}[{{ c }}]{% endfor %}
{% set a = 1 %}{% for x in w %}{% set a = a + 1 %}{{ a }}{% endfor %}{{ a }}
{% set a = 1 %}{% if true %}{% set a = 9 %}{% endif %}{{ a }}
{% set ns = namespace(c=0, d='x') %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}{{ ns.d }}
{% set ns = namespace() %}{{ ns.nope }}{% set ns.new = 5 %}{{ ns['new'] }}
{% set b %}in {{ n }}{% endset %}[{{ b }}]{{ b | length }}
{% macro hi(name, mark='!') %}Hi {{ name }}{{ mark }}{% endmacro %}{{ hi('a') }}
{% macro hi(name, mark='!') %}Hi {{ name }}{{ mark }}{% endmacro %}{{ hi('b', '?') }}{{ hi(mark='.', name='c') }}
{% macro hi(name, mark='!') %}Hi {{ name }}{{ mark }}{% endmacro %}{{ hi() }}
{% macro up(k) %}{% if k > 0 %}{{ k }}{{ up(k - 1) }}{% endif %}{% endmacro %}{{ up(5) }}
{% set q = 3 %}{% macro out() %}{{ q }}{% endmacro %}{{ out() }}
{% raw %}{{ not }} {% this %}{% endraw %}|{%- raw -%}  x  {%- endraw -%}|
a {# c #} b {#- d -#} c\\n{# e #}\\nd
{{ "a" "b" 'c' }}{{ '\\n' | length }}{{ "\\t\\\\\\'\\"\\x41\\u00e9\\101" }}{{ '\\q' }}
  {% if true %}  \\n  x\\n  {% endif %}  \\ny
  {%+ if true %}a{% endif +%}\\n b
a\\n  {%- if true -%}\\n  b  {%- endif %}\\nc
{{- ' a ' -}}   b   {{ 'c' }}\\nd
{{ {'a': 1, 'b': [1, 2]}.b[1] }}{{ {'a': {'b': 5}}.a.b }}
{{ [[1, 2], [3]][0][1] }}{{ (1, 2)[1] }}{{ {}.x is defined }}{{ dict(a=1).a }}
{{ w.0 }}{{ nest.1.a }}{{ -n }}{{ +n }}{{ -f }}{{ - -n }}{{ not not n }}{{ 2 - -1 }}
{{ s is string and n is integer or e }}{{ 'x' if s is defined and s is not none else 'y' }}{{ 5 if n is gt 3 else 6 }}
{{ loop is defined }}{{ messages is defined }}{{ none is defined }}{{ (missing | default({})).x is defined }}
{% if missing %}a{% elif n == 7 %}b{% else %}c{% endif %}{% if z %}{% elif e %}{% endif %}
{{ namespace(a=1).a }}{% generation %}g{{ n }}{% endgeneration %}{% for x in missing %}{% endfor %}
{{ 'a' in missing }}{{ missing | length }}{{ missing | list | length }}
{{ missing.x }}
{{ missing + 'a' }}
{{ 'a' + 1 }}
{{ 1 // 0 }}
{{ s.x.y }}
{{ no.x }}
{{ raise_exception('stop ' ~ n) }}
{% for x in n %}{% endfor %}
{{ 'a' < 1 }}
{{ 1 in n }}
{{ w | join(', ') | upper }}{{ (w | length) * 2 }}{{ w | length * 2 }}{{ -1 | string }}
{{ 1 if 2 in [1, 2] else 0 }}{{ [1, 2, 3,] | length }}{{ {'a': 1,} | length }}{{ () | length }}{{ (1,) | length }}
{%if n%}x{%endif%}{%- for x in w-%}{{x}}{%-endfor-%} y
""".split("\n")[:-1]


def render(source, messages, names):
    try:
        rendered, _ = render_jinja_template(conversations=[messages], chat_template=source, **names)
    except Exception:  # whatever goes wrong, there is no prompt
        return None
    return rendered[0]


def main():
    chats = [{**entry, "want": [render(entry["source"], chat, entry.get("names", {})) for chat in entry["chats"]]}
             for entry in CHATS]
    snippets = []
    for line in SNIPPETS:
        source = line.replace("\\\\n", "\0").replace("\\n", "\n").replace("\0", "\\n") if line[0] in " a{" else line
        source = source.replace("\\\\", "\\")
        snippets.append([source, render(source, turns("a"), NAMES)])
    golden = {"versions": {name: version(name) for name in ("transformers", "jinja2")}, "names": NAMES, "chats": chats,
              "snippets": snippets}
    OUT.write_text(json.dumps(golden, indent=0, ensure_ascii=True) + "\n")
    print(f"{OUT}: {len(snippets)} snippets, {sum(want is None for _, want in snippets)} of them fail")


if __name__ == "__main__":
    main()
