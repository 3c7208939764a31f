"""A fake of language model providers, as their public documents have them: OpenAI's Chat Completions, Responses and Embeddings under /v1, Anthropic's
Messages under /anthropic/v1. What a request may not hold is refused as they do. `replies` are given one after the other; without one the model says
what it was asked:

    with LLM() as llm:
        llm.replies = [Reply("hello"), Reply('{"n": 1}', usage=(12, 3, 8)), Reply(tools=[("crm/find", {"email": "a@b.c"})])]

A Reply with `fault` goes wrong in the middle: "cut" (the connection ends), "garbage" (an event that is no JSON), "error" (an error inside of the stream,
with this `code`), "silence" (no last event, and the answer ends as if it were whole), "stall" (nothing more comes until close()).
What has `thoughts` must come back with the results of its calls as it was, to the same model, and to no other. `is_loose`: as servers that speak like Chat Completions do, all calls of tools have index 0, and later pieces an empty id and name;
as some do that speak like Responses, the last event does not repeat the output; no block of Messages has an end."""
import dataclasses
import itertools
import json
import threading

from fakes.server import Answer, Refused, Server

KEY = "sk-fake"
FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}  # of both
ANTHROPIC = {"type", "enum", "const", "required", "properties", "additionalProperties", "items", "anyOf", "title", "description", "default", "format"}
OPENAI = ANTHROPIC - {"default"} | {"minimum", "maximum", "minItems", "maxItems"}


@dataclasses.dataclass
class Reply:
    text: str = ""
    tools: list = dataclasses.field(default_factory=list)  # (name, arguments as a dict, or a text that need not be JSON)
    usage: tuple = (100, 20, 0)  # tokens in, out, in from the cache; None: it does not say
    written: tuple = (0, 0)  # of the tokens in, into Anthropic's cache: for five minutes, for an hour
    finish: str = ""  # "length", "refusal"; of Chat Completions others as well
    fault: str = ""
    code: "str | int" = ""
    is_loose: bool = False
    thoughts: list = dataclasses.field(default_factory=list)  # of Anthropic's models: in front of the text, of the first call, of the second …


def pieces(text):
    """Not where a word ends: a reader must not rely on that."""
    return [text[at:at + 5] for at in range(0, len(text), 5)]


def sse(value, name=None):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


class LLM(Server):
    def __init__(self):
        super().__init__()
        self.replies, self.bodies, self.closing = [], [], threading.Event()
        self.numbers = itertools.count(1)
        self.thought = {}  # id of a call → (model, content) of the message that it is in
        self.on("POST", "/v1/chat/completions", self.chat)
        self.on("POST", "/v1/responses", self.responses)
        self.on("POST", "/v1/embeddings", self.embeddings)
        self.on("POST", "/anthropic/v1/messages", self.messages)

    def close(self):
        self.closing.set()
        super().close()

    # ---- what is refused ----
    def refuse(self, message, *, status=400, kind="invalid_request_error", code=None):
        raise Refused(status, {"error": {"message": message, "type": kind, "param": None, "code": code}})

    def known(self, body, names, where=""):
        for name in body:
            if name not in names:
                self.refuse(f"Unknown parameter: '{where}{name}'.", code="unknown_parameter")

    def bearer(self, request):
        if request.headers.get("authorization") != f"Bearer {KEY}":
            self.refuse("Incorrect API key provided.", status=401, code="invalid_api_key")
        if not request.headers.get("content-type", "").startswith("application/json"):
            self.refuse("unsupported content type", status=415)

    def closed(self, schema, keywords, path="", strict=True):
        """OpenAI's strict schemas, and all of Anthropic's: closed objects, and few keywords; strict ones name every property as required."""
        if schema.get("type") == "object" or "properties" in schema:
            if schema.get("additionalProperties") is not False:
                self.refuse(f"Invalid schema: in context=('{path}'), 'additionalProperties' is required to be supplied and to be false.")
            if strict and set(schema.get("required", [])) != set(schema.get("properties", {})):
                self.refuse(f"Invalid schema: in context=('{path}'), 'required' has to hold every key in properties.")
        if keywords and ("type" not in schema and "anyOf" not in schema or schema.get("type") == "array" and "items" not in schema):
            self.refuse(f"Invalid schema: in context=('{path}'), schema must have a 'type' key, and an array 'items'.")
        for name in schema:
            if keywords and name not in keywords or name == "format" and schema[name] not in FORMATS:
                self.refuse(f"Invalid schema: in context=('{path}'), '{name}' is not permitted.")
        for name, inner in schema.get("properties", {}).items():
            self.closed(inner, keywords, f"{path}.{name}", strict)
        for inner in [schema["items"]] if isinstance(schema.get("items"), dict) else schema.get("anyOf", []):
            self.closed(inner, keywords, path + "[]", strict)

    def parameters(self, schema, path=""):
        """Of a function, which need not be strict: an array has items all the same."""
        if schema.get("type") == "array" and "items" not in schema:
            self.refuse(f"Invalid schema for function: in context=('{path}'), array schema missing items.", code="invalid_function_parameters")
        for name, inner in schema.get("properties", {}).items():
            self.parameters(inner, f"{path}.{name}")
        if "items" in schema:
            self.parameters(schema["items"], path + "[]")

    def reply_to(self, request, asked):
        with self.lock:
            self.bodies.append(request.json)
            reply = self.replies.pop(0) if self.replies else Reply("You said: " + asked)
        if isinstance(reply, Refused):
            raise reply
        return reply

    def broken(self, reply):
        """What comes in place of the rest."""
        if reply.fault == "garbage":
            yield b"data: {\"choices\": [{\"delta\": <html>\n\n"
        elif reply.fault == "stall":
            self.closing.wait(60)
        elif reply.fault == "cut":
            raise ConnectionAbortedError("the fake cuts the connection")

    def stream(self, reply, events):
        """events: those of a whole answer. With a fault about half of them come."""
        events = list(events)

        def body():
            if not reply.fault:
                yield from events
                return
            yield from events[:max(len(events) // 2, 1)]
            yield from self.broken(reply)
        return Answer(200, body(), {"Content-Type": "text/event-stream; charset=utf-8", "x-request-id": f"req_{next(self.numbers)}"})

    # ---- OpenAI ----
    def chat(self, request):
        self.bearer(request)
        body = request.json
        self.known(body, {"model", "messages", "stream", "stream_options", "max_completion_tokens", "max_tokens", "temperature", "response_format", "tools",
                          "tool_choice", "reasoning_effort", "seed", "stop", "user"})
        if not body.get("model") or not body.get("messages"):
            self.refuse("Missing required parameter: 'messages'.")
        for message in body["messages"]:
            if message["role"] not in ("system", "developer", "user", "assistant", "tool"):
                self.refuse(f"Invalid value: '{message['role']}'.")
            if message["role"] == "tool" and not message.get("tool_call_id"):
                self.refuse("Missing required parameter: 'messages[].tool_call_id'.")
            if message.get("content") is None and not message.get("tool_calls"):
                self.refuse("Invalid value for 'content': expected a string, got null.")
        asked_for = [call["id"] for message in body["messages"] for call in message.get("tool_calls") or []]
        if asked_for != [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]:
            self.refuse("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.")
        form = body.get("response_format", {})
        if form and form["json_schema"].get("strict"):
            self.closed(form["json_schema"]["schema"], None)  # servers that speak like OpenAI take more than it does
        for tool in body.get("tools", []):
            self.parameters(tool["function"]["parameters"])
        reply = self.reply_to(request, body["messages"][-1]["content"] or "")
        chunk = {"id": f"chatcmpl-{next(self.numbers)}", "object": "chat.completion.chunk", "created": 1, "model": body["model"] + "-2026-03-01"}

        def of(delta, finish=None, **more):
            return sse({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})
        events = [of({"role": "assistant", "content": ""})]
        events += [of({"content": part}) for part in pieces(reply.text)]
        for index, (name, arguments) in enumerate(reply.tools):
            arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
            at, more = (0, {"id": ""}) if reply.is_loose else (index, {})
            later = {"name": ""} if reply.is_loose else {}
            events.append(of({"tool_calls": [{"index": at, "id": f"call_{next(self.numbers)}", "type": "function", "function": {"name": name, "arguments": ""}}]}))
            events += [of({"tool_calls": [{"index": at, **more, "function": {**later, "arguments": part}}]}) for part in pieces(arguments)]
        if reply.finish == "refusal":
            events.append(of({"refusal": "I cannot help with that."}))
        if reply.fault == "error":
            return self.stream(dataclasses.replace(reply, fault=""), events[:2] + [sse({"error": {"message": "The server had an error", "type": "server_error", "code": reply.code or None}})])
        events.append(of({}, reply.finish if reply.finish not in ("", "refusal") else "tool_calls" if reply.tools else "stop"))
        if reply.usage and body.get("stream_options", {}).get("include_usage"):
            used = {"prompt_tokens": reply.usage[0], "completion_tokens": reply.usage[1], "total_tokens": sum(reply.usage[:2]),
                    "prompt_tokens_details": {"cached_tokens": reply.usage[2]}}
            events.append(sse({**chunk, "choices": [], "usage": used}))
        if reply.fault == "silence":
            return self.stream(dataclasses.replace(reply, fault=""), events[:2])
        return self.stream(reply, events + [b"data: [DONE]\n\n"])

    def responses(self, request):
        self.bearer(request)
        body = request.json
        self.known(body, {"model", "input", "instructions", "stream", "store", "max_output_tokens", "temperature", "text", "tools", "tool_choice", "reasoning",
                          "metadata", "previous_response_id", "include"})
        includes = "reasoning.encrypted_content" in body.get("include", [])
        if body.get("max_output_tokens", 16) < 16:
            self.refuse("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.", code="integer_below_min_value")
        form = body.get("text", {}).get("format", {})
        if form.get("strict"):
            self.closed(form["schema"], OPENAI)
        for tool in body.get("tools", []):
            self.parameters(tool["parameters"])
        calls = {item["call_id"] for item in body["input"] if item.get("type") == "function_call"}
        for item in body["input"]:
            if item.get("type") == "function_call_output" and item["call_id"] not in calls:
                self.refuse(f"No tool call found for function call output with call_id {item['call_id']}.")
        self.check_reasoning(body, includes)
        reply = self.reply_to(request, str(body["input"][-1].get("content", "")))
        response = {"id": f"resp_{next(self.numbers)}", "object": "response", "model": body["model"], "status": "in_progress", "output": []}
        numbers = itertools.count()

        def of(kind, **more):
            return sse({"type": kind, "sequence_number": next(numbers), **more}, kind)
        events = [of("response.created", response=response), of("response.in_progress", response=response)]
        content = [{"type": "refusal", "refusal": "I cannot help with that."}] if reply.finish == "refusal" else [{"type": "output_text", "text": reply.text, "annotations": []}]
        number = next(self.numbers)
        output = [{"type": "reasoning", "id": f"rs_{number}", "summary": [], **({"encrypted_content": f"secret-{number}"} if includes else {})}]
        if reply.text or reply.finish == "refusal":
            output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content})
            events += [of("response.output_text.delta", item_id="msg_1", output_index=1, content_index=0, delta=part) for part in pieces(reply.text)]
        for name, arguments in reply.tools:
            arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
            output.append({"type": "function_call", "id": f"fc_{next(self.numbers)}", "call_id": f"call_{next(self.numbers)}", "name": name, "arguments": arguments})
            events += [of("response.function_call_arguments.delta", item_id=output[-1]["id"], delta=part) for part in pieces(arguments)]
        self.thought.update({item["call_id"]: (body["model"], output[0]) for item in output if item["type"] == "function_call"})
        events += [of("response.output_item.done", output_index=at, item=item) for at, item in enumerate(output)]
        if reply.fault == "error" and reply.is_loose:
            events.append(of("error", error={"type": "server_error", "code": reply.code, "message": "The model failed.", "param": None}))
            return self.stream(dataclasses.replace(reply, fault=""), events)
        if reply.fault == "error":
            events.append(of("response.failed", response={**response, "status": "failed", "error": {"code": reply.code or "server_error", "message": "The model failed. Please try again in 1.5s."}}))
            return self.stream(dataclasses.replace(reply, fault=""), events)
        used = reply.usage and {"input_tokens": reply.usage[0], "output_tokens": reply.usage[1], "total_tokens": sum(reply.usage[:2]),
                                "input_tokens_details": {"cached_tokens": reply.usage[2]}, "output_tokens_details": {"reasoning_tokens": 0}}
        is_cut = reply.finish == "length"
        done = {**response, "status": "incomplete" if is_cut else "completed", "output": [] if reply.is_loose else output, "usage": used,
                "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None}
        if reply.fault == "silence":
            return self.stream(dataclasses.replace(reply, fault=""), events)
        return self.stream(reply, events + [of("response.incomplete" if is_cut else "response.completed", response=done)])

    def check_reasoning(self, body, includes):
        """Nothing is stored here: what was thought before a call is told again, in front of it, to the model that has thought it."""
        items = body["input"]
        for at, item in enumerate(items):
            if item.get("type") == "reasoning" and not item.get("encrypted_content"):
                self.refuse(f"Item '{item['id']}' not found. Items are not persisted when `store` is set to false.", status=404)
            if item.get("type") == "reasoning" and not isinstance(item.get("summary"), list):
                self.refuse("Missing required parameter: 'input[].summary'.")
            if item.get("type") == "function_call" and includes:
                thinker, thought = self.thought[item["call_id"]]
                before = [one for one in items[:at] if one.get("type") == "reasoning" and one["id"] == thought["id"]]
                if before != ([thought] if thinker == body["model"] else []):
                    self.refuse("Encrypted content could not be verified.", code="invalid_encrypted_content")

    def embeddings(self, request):
        self.bearer(request)
        body = request.json
        self.known(body, {"model", "input", "dimensions", "encoding_format", "user"})
        if not body["input"] or not all(body["input"]):
            self.refuse("'$.input' is invalid: an input must not be empty.")
        with self.lock:
            self.bodies.append(body)
        size = body.get("dimensions", 3)
        data = [{"object": "embedding", "index": index, "embedding": [len(text), *[0.5] * (size - 1)]} for index, text in enumerate(body["input"])]
        count = sum(len(text) for text in body["input"])
        return {"object": "list", "data": data[::-1], "model": body["model"], "usage": {"prompt_tokens": count, "total_tokens": count}}

    # ---- Anthropic ----
    def refuse_message(self, message, status=400, kind="invalid_request_error"):
        raise Refused(status, {"type": "error", "error": {"type": kind, "message": message}})

    def check_thoughts(self, model, blocks, call):
        thinker, content = self.thought.get(call, (None, None))
        if thinker == model and blocks != content:
            self.refuse_message("messages: `thinking` or `redacted_thinking` blocks in an assistant message cannot be modified or left out")
        if thinker != model and any("thinking" in block["type"] for block in blocks):
            self.refuse_message("messages: Invalid `signature` in `thinking` block")

    def messages(self, request):
        if request.headers.get("x-api-key") != KEY:
            self.refuse_message("invalid x-api-key", 401, "authentication_error")
        if request.headers.get("anthropic-version") != "2023-06-01":
            self.refuse_message("anthropic-version: header is required")
        body = request.json
        for name in body:
            if name not in {"model", "messages", "max_tokens", "system", "temperature", "stream", "tools", "tool_choice", "output_config", "thinking", "metadata",
                            "stop_sequences"}:
                self.refuse_message(f"{name}: Extra inputs are not permitted")
        if not isinstance(body.get("max_tokens"), int):
            self.refuse_message("max_tokens: Field required")
        if body.get("temperature", 0) > 1:
            self.refuse_message("temperature: range: 0..1")
        if body["messages"][0]["role"] != "user":
            self.refuse_message("messages: first message must use the \"user\" role")
        wanted = set()
        for message in body["messages"]:
            blocks = message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": message["content"]}]
            results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
            if results != wanted:
                self.refuse_message("messages: `tool_use` ids were found without `tool_result` blocks immediately after")
            wanted = {block["id"] for block in blocks if block["type"] == "tool_use"}
            self.check_thoughts(body["model"], blocks, next(iter(wanted), None))
            if any(block["type"] == "text" and not block["text"] for block in blocks):
                self.refuse_message("messages: text content blocks must be non-empty")
        form = body.get("output_config", {}).get("format", {})
        if form:
            try:
                self.closed(form["schema"], ANTHROPIC, strict=False)
            except Refused as refused:
                self.refuse_message(refused.answer[1]["error"]["message"])
        last = body["messages"][-1]["content"]
        reply = self.reply_to(request, last if isinstance(last, str) else json.dumps(last))
        plain, out, cached = reply.usage or (0, 0, 0)
        short, long = reply.written
        used = {"input_tokens": plain - cached - short - long, "cache_creation_input_tokens": short + long, "cache_read_input_tokens": cached, "output_tokens": 1,
                "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}}
        events = [sse({"type": "message_start", "message": {"id": f"msg_{next(self.numbers)}", "type": "message", "role": "assistant", "content": [],
                                                            "model": body["model"], "stop_reason": None, "usage": used}}, "message_start"),
                  sse({"type": "ping"}, "ping")]
        index, content, thoughts = itertools.count(), [], iter(reply.thoughts)

        def think():
            for thought in itertools.islice(thoughts, 1):
                signature = f"signature-of-{thought}=="
                if thought == "hidden":
                    block({"type": "redacted_thinking", "data": "b3BhcXVl"}, [])
                    return
                block({"type": "thinking", "thinking": "", "signature": ""},
                      [*({"type": "thinking_delta", "thinking": part} for part in pieces(thought)), {"type": "signature_delta", "signature": signature}],
                      {"thinking": thought, "signature": signature})

        def block(start, deltas, whole={}):
            at = next(index)
            content.append({**start, **whole})
            events.append(sse({"type": "content_block_start", "index": at, "content_block": start}, "content_block_start"))
            events.extend(sse({"type": "content_block_delta", "index": at, "delta": delta}, "content_block_delta") for delta in deltas)
            if not reply.is_loose:
                events.append(sse({"type": "content_block_stop", "index": at}, "content_block_stop"))
        think()
        if reply.text:
            block({"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in pieces(reply.text)], {"text": reply.text})
        for name, arguments in reply.tools:
            think()
            arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
            block({"type": "tool_use", "id": f"toolu_{next(self.numbers)}", "name": name, "input": {}},
                  [{"type": "input_json_delta", "partial_json": part} for part in ["", *pieces(arguments)]],
                  {"input": json.loads(arguments)} if reply.thoughts else {})
        if reply.thoughts:
            self.thought.update({one["id"]: (body["model"], content) for one in content if one["type"] == "tool_use"})
        if reply.fault == "error":
            events.append(sse({"type": "error", "error": {"type": reply.code or "overloaded_error", "message": "Overloaded"}}, "error"))
            return self.stream(dataclasses.replace(reply, fault=""), events)
        why = {"length": "max_tokens", "refusal": "refusal"}.get(reply.finish, "tool_use" if reply.tools else "end_turn")
        events.append(sse({"type": "message_delta", "delta": {"stop_reason": why, "stop_sequence": None}, "usage": {"output_tokens": out}}, "message_delta"))
        if reply.fault == "silence":
            return self.stream(dataclasses.replace(reply, fault=""), events)
        return self.stream(reply, [*events, sse({"type": "message_stop"}, "message_stop")])
