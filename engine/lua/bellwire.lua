---@meta bellwire
-- What the Lua code of a Bellwire instance can call: actions (files that `return action{…}`) and `lua:` steps. Not a program: editors with a Lua
-- language server read it (add this file's folder to "Lua.workspace.library", and set "Lua.runtime.version" to "Lua 5.4"). A test holds it to the engine.
--
-- Code runs as a coroutine in a worker process, with memory and time of its own: a loop that does not end is stopped (lua.timeout), and so is code
-- that needs too much memory (lua.memory); neither can be caught. Global variables live as long as the attempt. Times are UTC.

-- ---- a step ----

---The inputs: `with`, checked against the action's `inputs` and with their defaults. JSON null in an object is absent, in a list it is ctx.json.null.
---@type table<string, any>
input = {}

---@alias bellwire.duration number|string  # seconds, or a text such as "500ms", "30s", "1h30m"

---What the step can reach. Read-only; usable only while the step runs.
---@class bellwire.ctx
ctx = {}

---The same for all attempts of this step of this run, also after a crash: send it to services that know idempotency keys.
---@type string
ctx.idempotency_key = ""

---1 for the first attempt.
---@type integer
ctx.attempt = 1

---@class bellwire.request
---@field url string  # http:// or https://
---@field method? string  # default "GET"
---@field query? table<string, string|number|boolean>  # is encoded and added to the URL
---@field headers? table<string, string|number>  # at most 64
---@field json? any  # the body as JSON; give one of json, form and body
---@field form? table<string, string|number|boolean>  # the body as application/x-www-form-urlencoded
---@field body? string  # the body as it is
---@field timeout? bellwire.duration  # of the whole answer; default: what is left of the step's
---@field stream? boolean  # the answer is read as it comes: bellwire.stream instead of bellwire.response
---@field idle? bellwire.duration  # of a stream: how long nothing of it may come; default: no limit of its own

---@class bellwire.response
---@field status integer
---@field headers table<string, string>  # names in lower case
---@field body string  # at most 8 MiB
---@field json any  # the body decoded; nil when it is no JSON

---One event of a text/event-stream (Server-Sent Events).
---@class bellwire.stream_event
---@field event string  # "message" when the server gives no name
---@field data string  # several lines have "\n" between them
---@field id? string  # the last one that the server has sent

---The answer to `stream = true`, there as soon as its head is. At most 64 MiB, an event at most 1 MiB. While the code does not read, the server has to
---wait. The connection is given up when the code leaves a loop over events(), calls close(), begins another stream, or ends.
---@class bellwire.stream
---@field status integer
---@field headers table<string, string>  # names in lower case
---@field read fun(): string?  # the bytes that have come, at least one; nil at the end: `for chunk in answer.read do`
---@field events fun(): fun(): bellwire.stream_event?  # `for event in answer.events() do`; an event that the answer ends within is none
---@field close fun()
-- read and events raise http.network when the connection is cut before the answer is whole, behind all that has come, and http.timeout.

---Sends a request and waits for the answer; other runs go on meanwhile. Every status is an answer: look at it. Redirects are not followed. What is not
---idempotent (POST, PATCH) is sent once: a connection that is closed without an answer is http.network, and whether it was done is not known.
---Raises a failure that is tried again (http.network, http.timeout) or not (http.address_denied, http.too_large, step.cancelled: see ctx.cancelled);
---wrong arguments raise an error.
---Not inside a callback of table.sort or string.gsub.
---@param request bellwire.request
---@return bellwire.response|bellwire.stream
function ctx.http(request) end

---What `configure` of bellwire.yaml says of the plugin that the action belongs to, checked against `config` of its plugin.yaml and with its defaults. A
---secret in it is {secret = NAME}: give that to ctx.secret. nil in actions that belong to no plugin.
---@type table<string, any>
ctx.config = {}

---The value of a secret that the action declares in `secrets` and the workflow grants, or that the configuration of its plugin names. Raises an error for
---any other.
---@param name string|{secret: string}
---@return string
function ctx.secret(name) end

---@class bellwire.failure  # made by ctx.fail, ctx.retry and ctx.pending, raised by ctx.http: read it after pcall
---@field kind "fail"|"retry"|"pending"
---@field class "permanent"|"transient"
---@field code string
---@field message string
---@field after_ms integer  # -1: not given

---The step fails for good: `return ctx.fail{code = "crm_rejected", message = r.body}`, or raise it by error(). Thrown away it is an error (lua.error).
---@param why string|{code?: string, message?: string}
---@return bellwire.failure
function ctx.fail(why) end

---The attempt fails and is tried again, not before `after`: `return ctx.retry{code = "crm_busy", after = r.headers["retry-after"]}`, or raise it by
---error(). Thrown away it is an error (lua.error).
---@param why string|{code?: string, message?: string, after?: bellwire.duration}  # after: also the text of a Retry-After header
---@return bellwire.failure
function ctx.retry(why) end

---The link to which somebody else can post this step's result, when the code has returned ctx.pending(). Whoever has it can answer, once: treat it as a
---secret. Each attempt has its own; that of an earlier attempt still counts.
---@return string
function ctx.callback_url() end

---The result will be posted to ctx.callback_url(): `return ctx.pending{within = "2d"}`. The step waits, over restarts as well; without `within` as long as
---the run may take. What is posted is {"output": {…}}, or {"error": {"code", "message", "retry"}}. Thrown away it is an error (lua.error).
---@param how? {within?: bellwire.duration}
---@return bellwire.failure
function ctx.pending(how) end

---Is the step not wanted any more: was its run cancelled? Code that computes for long asks now and then. From then on it has 10 seconds to return what it
---has, which is recorded, and it can wait for nothing: a request that is on its way is broken off, and ctx.http and ctx.sleep raise the failure
---step.cancelled, which ends the step as cancelled, unless pcall catches it.
---@return boolean
function ctx.cancelled() end

---The code is alive: a step with `heartbeat: 30s` has to say so at least every 30 s, also while it waits for a request or sleeps. Costs next to nothing.
function ctx.heartbeat() end

---How far it is, for whoever watches: `bellwire run` shows it while the step executes. Nothing else sees it, and it may be left out.
---@param text string  # of a long one only the end is shown
function ctx.progress(text) end

---The clock in milliseconds since 1970.
---@return integer
function ctx.now() end

---Waits; other runs go on meanwhile. Raises an error for what is no duration, and step.cancelled: see ctx.cancelled. Not inside a callback of table.sort or string.gsub.
---@param duration bellwire.duration
function ctx.sleep(duration) end

---Percent-encodes everything but letters, digits and `-._~`.
---@param text string
---@return string
function ctx.urlencode(text) end

---Keyed hash of a text. Raises an error for an empty key.
---@param algorithm "sha1"|"sha256"|"sha512"
---@param key string
---@param data string
---@param encoding? "hex"|"base64"|"raw"  # default "hex"
---@return string
function ctx.hmac(algorithm, key, data, encoding) end

---Writes a line to the engine's log; ctx.log(value) is ctx.log.info(value). Values that are no text are written as JSON. Secrets are blotted out, and a
---step that logs too much is cut off.
---@class bellwire.log
---@overload fun(value: any)
ctx.log = {}
---@param value any
function ctx.log.debug(value) end
---@param value any
function ctx.log.info(value) end
---@param value any
function ctx.log.warn(value) end
---@param value any
function ctx.log.error(value) end

---Base64 with padding; ctx.base64(text) is ctx.base64.encode(text).
---@class bellwire.base64
---@overload fun(text: string): string
ctx.base64 = {}
---@param text string
---@return string
function ctx.base64.encode(text) end
---nil when the text is no canonical base64.
---@param text string
---@return string?
function ctx.base64.decode(text) end

---@class bellwire.json
ctx.json = {}
---An explicit null: nil in a table is nothing at all.
---@type lightuserdata
ctx.json.null = nil
---JSON text of a value; keys in alphabetical order. Raises an error that names what cannot be JSON (functions, NaN, cycles, texts with NUL).
---@param value any
---@return string
function ctx.json.encode(value) end
---nil for nil. Raises an error with line and column for what is no JSON.
---@param text string?
---@return any
function ctx.json.decode(text) end
---Marks a table as a list, so that it is written as [] when it is empty. Refuses the tables of the engine.
---@generic T: table
---@param list T
---@return T
function ctx.json.array(list) end

---Calls that are paid by use: budgets stop them before they are made, and `bellwire usage` shows what they took.
---@class bellwire.usage
ctx.usage = {}
---@class bellwire.usage_budget  # what all such calls of this step may take, over all its attempts
---@field calls? integer
---@field tokens? integer
---@field money? number  # in the currency of the prices
---@field seconds? number
---@class bellwire.usage_estimate  # at most; what is left out is 0, but a cost that is left out is unknown
---@field provider string
---@field model string
---@field input_tokens? integer
---@field output_tokens? integer
---@field cost? integer  # millionths of the currency
---@field budget? bellwire.usage_budget
---May the call be made? Waits until that is on disk; returns its number. Raises a failure when a budget forbids it (budget.spent, budget.price).
---A call that is never finished counts with what it might have taken.
---@param estimate bellwire.usage_estimate
---@return integer
function ctx.usage.begin(estimate) end
---@class bellwire.usage_numbers
---@field input_tokens? integer
---@field output_tokens? integer
---@field cached_tokens? integer  # of the input_tokens
---@field cost? integer  # millionths of the currency; left out: nobody knows
---@field first_ms? integer  # until the first part of the answer
---@field took_ms? integer
---What the call took, once for each that was begun. Does not wait.
---@param call integer
---@param numbers bellwire.usage_numbers
function ctx.usage.finish(call, numbers) end

---What a step does in several calls: each part is recorded before the code goes on, as a step STEP.NAME of its own in `bellwire runs show`. An attempt that is
---made again, after a failure or a crash, finds the parts that are there, and need not do them again. Names are like turn[1] or turn[1].tool[crm/find].
---@class bellwire.part
ctx.part = {}
---The value of a part, if there is one; nil and {code, message, class} for one that has failed.
---@param name string
---@return table?
---@return table?
function ctx.part.find(name) end
---Records a value as a part; waits until it is on disk. A part is given once.
---@param name string
---@param value table
function ctx.part.keep(name, value) end
---Runs an action as a part, once: its output, or nil and {code, message, class}. What is recorded is returned as it is. Its idempotency key is that of the
---part, so a call that a crash has cut off is made again under the same one. Its own `retry` and `limit` do not count, it has the time of the step,
---and its secrets are those that the workflow grants.
---A workflow is called likewise, as `uses: workflow/NAME` does it, and may take as long as it likes: the code ends here, and is run once more from its
---beginning when the called run has ended. Whatever it does before must be recorded in parts, or do no harm when it is done again.
---@param name string
---@param uses string  # "crm/find@1", "workflow/enrich-lead"
---@param input table
---@return table?
---@return table?
function ctx.part.run(name, uses, input) end
---What an action or a workflow says of itself: {name, version, doc, inputs, outputs, effect, …}; or nil, why there is none and the code of that. With an
---input: nil as well when that does not fit.
---@param uses string
---@param input? table
---@return table?
---@return string?
---@return string?
function ctx.part.offer(uses, input) end
---@class bellwire.call
---@field name string  # of the part
---@field uses string  # "workflow/enrich-lead"
---@field input? table
---Calls workflows side by side, as ctx.part.run calls one, and waits until all of them have ended: {output = …} or {error = {code, message, class}} for each.
---When one of the calls cannot be made none is, and that is raised.
---@param calls bellwire.call[]
---@return table[]
function ctx.part.call(calls) end
---@class bellwire.question
---@field name string  # of the part
---@field message string
---@field choices? string[]  # default: approve, reject
---@field to? string[]  # who is asked: each has a link of their own
---@field need? integer  # so many of `to` must choose the same; default: 1
---@field timeout? string  # default: "7d"
---@field on_timeout? string  # one of the choices; default: "fail"
---Asks people, each question once, and waits until all are decided: as `approve` does it, and for as long. The code ends here, and is run once more from
---its beginning then. Gives for each question {choice, by, at, form, votes?}, or {error = {code, message, class}}: approval.timeout.
---@param questions bellwire.question[]
---@return table[]
function ctx.part.ask(questions) end
---The link by which a question is answered, to be sent before it is asked. Whoever has it decides; with `actor`, who is named in the question's `to`, as
---that person.
---@param name string
---@param actor? string
---@return string
function ctx.part.link(name, actor) end

---What the actions of a plugin keep between attempts, such as a token: in the memory of this process, under names of the plugin's own.
---@class bellwire.cache
ctx.cache = {}
---What is kept under this name; else what `make` returns: a text of at most 8192 bytes, and for how many seconds it is good (0: for this call only). While
---one attempt makes it, others that want it wait. What `make` raises is raised here, and the next one tries.
---@param name string
---@param make fun(): string, number
---@return string
function ctx.cache.fetch(name, make) end
---That value is not good any more. Another one that has come meanwhile stays.
---@param name string
---@param value string
function ctx.cache.drop(name, value) end

-- ---- actions ----

---@class bellwire.schema
---@field type? "string"|"integer"|"number"|"boolean"|"object"|"array"|"any"
---@field required? boolean
---@field default? any
---@field enum? any[]
---@field min? number
---@field max? number
---@field format? "email"|"uri"|"date-time"|"uuid"
---@field items? bellwire.schema
---@field properties? table<string, bellwire.schema>
---@field max_items? integer
---@field max_length? integer
---@field doc? string

---@class bellwire.action
---@field name string  # "crm/upsert"
---@field version string  # "1.4.0": its first number is the MAJOR of `uses: crm/upsert@1`
---@field doc? string  # one line for people
---@field inputs? table<string, bellwire.schema>  # checked before the first attempt; without it anything goes
---@field outputs? table<string, bellwire.schema>  # checked after
---@field secrets? string[]  # what ctx.secret may read
---@field effect? "none"|"read"|"write"  # default "write"; "none" is computed anew after a crash instead of being stored at once
---@field timeout? string  # of one attempt, such as "30s"; a step's own `timeout` wins
---@field heartbeat? string  # how long its code may be silent, such as "10s": it has to call ctx.heartbeat() that often; a step's own `heartbeat` wins
---@field retry? {attempts?: integer, delay?: string, factor?: number, max_delay?: string, jitter?: number, max_elapsed?: string}  # as in a step; built in: 6, "2s", 5, "15m", 0.5, none
---@field limit? string  # a limit of bellwire.yaml that steps with this action share, if there is one of that name; a step's own `limit` wins
---@field run fun(ctx: bellwire.ctx, input: table<string, any>): any  # the output; what is no object becomes {value = …}

---Describes an action; the file returns it. Unknown keys are an error with "did you mean". Only in files of actions.
---@param definition bellwire.action
---@return bellwire.action
function action(definition) end

---What a module returns: lib/NAME.lua beside the file or in a folder above it, up to the plugin's or the `actions` folder. It is run once for each
---attempt, so that it keeps nothing from one to the next. Only in files of actions and of modules. A module that is not there says where it was looked
---for.
---@param name string  # small letters, digits and _
---@return any
function require(name) end

-- ---- the standard library, where it differs from Lua 5.4 ----

-- same as in Lua 5.4: assert error ipairs next pairs rawequal rawget rawlen select tonumber type
-- same as in Lua 5.4: string.byte string.char string.len string.lower string.pack string.packsize string.reverse string.sub string.unpack string.upper
-- same as in Lua 5.4: math.abs math.acos math.asin math.atan math.ceil math.cos math.deg math.exp math.floor math.fmod math.huge math.log math.max
-- same as in Lua 5.4: math.maxinteger math.min math.mininteger math.modf math.pi math.rad math.sin math.sqrt math.tan math.tointeger math.type math.ult
-- same as in Lua 5.4: utf8.char utf8.charpattern utf8.codepoint utf8.codes utf8.len utf8.offset
-- not there, calling or indexing says so: os io debug package coroutine load loadstring loadfile dofile collectgarbage warn getfenv setfenv
-- not there: _G _VERSION string.dump math.random math.randomseed

---Read-only, and so are table, math and utf8.
string = {}
table = {}
math = {}
utf8 = {}

---As in Lua, but the end of time or memory passes through it.
---@param f function
---@return boolean ok
---@return any ...
function pcall(f, ...) end
---As in Lua, but the end of time or memory passes through it, and the handler runs after the unwinding: it sees the error, not the stack.
---@param f function
---@param handler function
---@return boolean ok
---@return any ...
function xpcall(f, handler, ...) end
---Refuses __gc, __mode and __metatable.
---@generic T: table
---@param t T
---@param metatable table?
---@return T
function setmetatable(t, metatable) end
---Only of tables; nil for anything else.
---@param value any
---@return any
function getmetatable(value) end
---Refuses the tables of the engine.
---@param t table
---@param key any
---@param value any
---@return table
function rawset(t, key, value) end
---Tables and functions are told by their type, not by an address. Raises an error for a secret.
---@param value any
---@return string
function tostring(value) end
---ctx.log.info of its arguments, with tabs between them.
function print(...) end
---%p is refused, %s uses tostring above, %q takes at most a megabyte in one call.
---@param pattern string
---@return string
function string.format(pattern, ...) end
---Raises lua.memory before it makes what does not fit.
---@param text string
---@param count integer
---@param separator? string
---@return string
function string.rep(text, count, separator) end
---A pattern that takes too many steps raises lua.timeout; so do match, gmatch and gsub.
---@param text string
---@param pattern string
---@param from? integer
---@param plain? boolean
---@return integer? from
---@return integer? to
---@return any ...
function string.find(text, pattern, from, plain) end
---@param text string
---@param pattern string
---@param from? integer
---@return any ...
function string.match(text, pattern, from) end
---@param text string
---@param pattern string
---@param from? integer
---@return fun(): string, ...
function string.gmatch(text, pattern, from) end
---A replacement function cannot wait (ctx.http, ctx.sleep).
---@param text string
---@param pattern string
---@param replacement string|number|table|function
---@param most? integer
---@return string
---@return integer count
function string.gsub(text, pattern, replacement, most) end
---All functions of `table` use the raw length, and touch at most a million elements in one call.
---@param list table
---@param separator? string
---@param from? integer
---@param to? integer
---@return string
function table.concat(list, separator, from, to) end
---@overload fun(list: table, value: any)
---@param list table
---@param at integer
---@param value any
function table.insert(list, at, value) end
---@param list table
---@param from integer
---@param to integer
---@param at integer
---@param target? table
---@return table
function table.move(list, from, to, at, target) end
---@return table
function table.pack(...) end
---@param list table
---@param at? integer
---@return any
function table.remove(list, at) end
---Stable; an inconsistent comparison gives some order and no error. The comparison cannot wait (ctx.http, ctx.sleep).
---@param list table
---@param less? fun(a: any, b: any): boolean
function table.sort(list, less) end
---At most 100,000 values.
---@param list table
---@param from? integer
---@param to? integer
---@return any ...
function table.unpack(list, from, to) end

-- ---- expressions: the names between ${{ and }} in workflows, NOT in code ----
-- also in expressions: math string table utf8 tonumber tostring type pairs ipairs select
-- All accept nil in place of a list, an object or a text. Names of data: event steps vars workflow run secrets result, see engine/workflow/README.md.

---@class bellwire.expression
local expression = {}

---Did this step succeed? Raises an error for an unknown id; so do status and err.
---@param id string
---@return boolean
function expression.ok(id) end
---@param id string
---@return "succeeded"|"failed"|"skipped"|"unknown"|nil
function expression.status(id) end
---@param id string
---@return table?
function expression.err(id) end
---Bytes of a text, items of a list, keys of an object; 0 for nil and null.
---@param value any
---@return integer
function expression.len(value) end
---@param list table?
---@param f function|string  # a function, or a path such as "a.b[*].c"
---@return table
function expression.map(list, f) end
---@param list table?
---@param f fun(item: any): any
---@return table
function expression.filter(list, f) end
---One level of lists less.
---@param list table?
---@return table
function expression.flat(list) end
---nulls are left out.
---@param list table?
---@param separator? string
---@return string
function expression.join(list, separator) end
---The separator is plain text; without one the whole text is the only item.
---@param text string?
---@param separator? string
---@return string[]
function expression.split(text, separator) end
---In alphabetical order.
---@param object table?
---@return string[]
function expression.keys(object) end
---@param object table?
---@param key any
---@return boolean
function expression.has(object, key) end
---Is the value in the list, or the text in the text?
---@param where table|string|nil
---@param what any
---@return boolean
function expression.contains(where, what) end
---@param text string?
---@return string?
function expression.lower(text) end
---@param text string?
---@return string?
function expression.upper(text) end
---Without white space at both ends.
---@param text string?
---@return string?
function expression.trim(text) end
---The first n characters. Raises an error for text that is no UTF-8.
---@param text string?
---@param n integer
---@return string?
function expression.truncate(text, n) end
---`other` for nil and null.
---@param value any
---@param other any
---@return any
function expression.default(value, other) end
---JSON text. Raises an error that names what cannot be JSON.
---@param value any
---@return string
function expression.json(value) end
---Raises an error with line and column for what is no JSON.
---@param text string?
---@return any
function expression.parse(text) end
---Text in UTC: RFC 3339, or by a strftime format. Raises an error for what is no date.
---@param when integer|string|nil  # milliseconds, or RFC 3339
---@param format? string
---@return string?
function expression.date(when, format) end
---string.format
---@param format string
---@return string
function expression.fmt(format, ...) end
---Raises an error for items that are no numbers.
---@param list table?
---@return number
function expression.sum(list) end
---Stable. Raises an error for values that cannot be compared.
---@param list table?
---@param f function|string  # a function, or a path
---@return table
function expression.sort_by(list, f) end
---All pairs {a, b}.
---@param a table?
---@param b table?
---@return table
function expression.product(a, b) end
---A list, also when it is empty.
---@param items? table
---@return table
function expression.list(items) end
---An explicit null.
---@type lightuserdata
expression.null = nil
