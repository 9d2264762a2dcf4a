"""One request as a program, in each language, with nothing but its standard library.

The programs read the address and the key from the environment, as the longer ones in ``examples``
do. Tests run every one of them.
"""

import json
import re
from collections.abc import Sequence

from msgspec import Struct

#: The environment variables that every example reads.
URL, KEY = "TIDEGATE_URL", "TIDEGATE_API_KEY"
_VARIABLE = re.compile(r"\{(\w+)\}")


class Example(Struct, frozen=True):
    """A request to show. ``path`` has variables in braces; ``body`` is JSON, or "" for none."""

    method: str
    path: str
    needs_key: bool
    body: str = ""


def variable(name: str) -> str:
    """Return the environment variable of a variable of a path: ``ORDER_ID`` for ``id``."""
    return "ORDER_ID" if name == "id" else name.upper()


def variables(path: str) -> list[str]:
    """Return the environment variables that a path needs."""
    return [variable(name) for name in _VARIABLE.findall(path)]


def _pieces(path: str) -> list[tuple[str, bool]]:
    """Return a path as texts and the environment variables (True) between them."""
    pieces = _VARIABLE.split(path)
    marked = [
        (variable(piece) if number % 2 else piece, bool(number % 2))
        for number, piece in enumerate(pieces)
    ]
    return [(piece, is_variable) for piece, is_variable in marked if piece]


def curl(example: Example) -> str:
    """Return the request for a shell."""
    target = _VARIABLE.sub(lambda match: f"${variable(match[1])}", example.path)
    lines = [] if example.method == "GET" else [f"--request {example.method}"]
    if example.needs_key:
        lines.append(f'--header "Authorization: Bearer ${KEY}"')
    if example.body:
        quoted = example.body.replace("'", "'\\''")
        lines += ["--header 'Content-Type: application/json'", f"--data '{quoted}'"]
    lines.append(f'"${URL}{target}"')
    command = "curl --fail-with-body --silent --show-error --no-buffer"
    return " \\\n  ".join([command, *lines]) + "\n"


def python(example: Example) -> str:
    """Return the request in Python."""
    target = _concatenated(example.path, 'os.environ["{}"]', " + ")
    body = f"    data={_quoted(example.body)}.encode(),\n" if example.body else ""
    return f"""\
import os
import urllib.request

request = urllib.request.Request(
    {target},
    method="{example.method}",
{body}{_python_headers(example)})
with urllib.request.urlopen(request, timeout=30) as answer:
    for line in answer:
        print(line.decode(), end="", flush=True)
"""


def _python_headers(example: Example) -> str:
    headers = []
    if example.needs_key:
        headers.append(f'"Authorization": "Bearer " + os.environ["{KEY}"]')
    if example.body:
        headers.append('"Content-Type": "application/json"')
    if not headers:
        return ""
    return "    headers={\n" + "".join(f"        {line},\n" for line in headers) + "    },\n"


def javascript(example: Example) -> str:
    """Return the request in JavaScript, for Node.js 18 or newer."""
    target = _concatenated(example.path, "process.env.{}", " + ")
    options = [f'  method: "{example.method}",\n']
    headers = []
    if example.needs_key:
        headers.append(f"Authorization: `Bearer ${{process.env.{KEY}}}`")
    if example.body:
        headers.append('"Content-Type": "application/json"')
        options.append(f"  body: {_quoted(example.body)},\n")
    if headers:
        options.append(f"  headers: {{ {', '.join(headers)} }},\n")
    return f"""\
const answer = await fetch({target}, {{
{"".join(options)}}});
for await (const piece of answer.body) process.stdout.write(piece);
process.exitCode = answer.ok ? 0 : 1;
"""


def go(example: Example) -> str:
    """Return the request in Go."""
    target = _concatenated(example.path, 'os.Getenv("{}")', "+")
    body, strings, headers = "nil", "", ""
    if example.body:
        body, strings = f"strings.NewReader({_quoted(example.body)})", '\t"strings"\n'
        headers += '\trequest.Header.Set("Content-Type", "application/json")\n'
    if example.needs_key:
        headers += f'\trequest.Header.Set("Authorization", "Bearer "+os.Getenv("{KEY}"))\n'
    return f"""\
package main

import (
	"io"
	"log"
	"net/http"
	"os"
{strings})

func main() {{
	request, err := http.NewRequest("{example.method}", {target}, {body})
	if err != nil {{
		log.Fatal(err)
	}}
{headers}	answer, err := http.DefaultClient.Do(request)
	if err != nil {{
		log.Fatal(err)
	}}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {{
		log.Fatal(err)
	}}
	if answer.StatusCode >= 400 {{
		os.Exit(1)
	}}
}}
"""


def java(example: Example) -> str:
    """Return the request in Java, for version 11 or newer: `java Request.java` runs it."""
    target = _concatenated(example.path, 'System.getenv("{}")', " + ")
    body = "BodyPublishers.noBody()"
    headers = ""
    if example.body:
        # In ASCII: Java 17 reads a source in the encoding of the system.
        body = f"BodyPublishers.ofString({json.dumps(example.body)})"
        headers += '\n            .header("Content-Type", "application/json")'
    if example.needs_key:
        headers += f'\n            .header("Authorization", "Bearer " + System.getenv("{KEY}"))'
    return f"""\
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

class Request {{
    public static void main(String[] arguments) throws Exception {{
        var request = HttpRequest.newBuilder(URI.create({target})){headers}
            .method("{example.method}", {body})
            .build();
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofInputStream());
        answer.body().transferTo(System.out);
        System.out.flush();
        System.exit(answer.statusCode() < 400 ? 0 : 1);
    }}
}}
"""


def _quoted(text: str) -> str:
    """Return a text as a literal of Python, JavaScript and Go, which read UTF-8."""
    return json.dumps(text, ensure_ascii=False)


def _concatenated(path: str, variable_as: str, plus: str) -> str:
    """Return address and path as an expression of a language."""
    parts: Sequence[str] = [
        variable_as.format(text) if is_variable else json.dumps(text)
        for text, is_variable in _pieces(path)
    ]
    return plus.join([variable_as.format(URL), *parts])
