"""`bellwire import openapi`: what it writes is loaded, says what the description says, and asks what the description has."""
import json
import pathlib

import pytest

from conftest import CONFIG
from fakes.server import Refused, Server
from steps import came_to

SPEC = {
    "openapi": "3.0.3",
    "info": {"title": "Pet Store", "version": "2.1"},
    "security": [{"token": []}],
    "paths": {
        "/pets": {
            "parameters": [{"name": "X-Trace", "in": "header", "schema": {"type": "string"}}],
            "get": {
                "operationId": "listPets", "summary": "All pets.\n\nMore about it.",
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
                    {"name": "tags", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "ids", "in": "query", "explode": False, "schema": {"type": "array", "items": {"type": "integer"}}},
                    {"name": "filter", "in": "query", "style": "deepObject", "schema": {"type": "object"}}]},
            "post": {"operationId": "createPet", "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewPet"}}}}}},
        "/pets/{petId}": {
            "parameters": [{"$ref": "#/components/parameters/PetId"}],
            "get": {"security": [{"apiKey": []}]},
            "delete": {"operationId": "delete-pet", "deprecated": True, "security": []},
            "put": {"operationId": "uploadPhoto", "requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}}}},
        "/pets/{petId}/note": {
            "parameters": [{"$ref": "#/components/parameters/PetId"}],
            "post": {"operationId": "note", "security": [{"login": []}], "requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}}}},
        "/search": {"post": {"operationId": "search", "security": [{"inQuery": []}], "requestBody": {
            "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": {"q": {"type": "string"}}}}}}}},
    },
    "components": {
        "parameters": {"PetId": {"name": "petId", "in": "path", "required": True, "schema": {"type": "string"}}},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}, "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                            "inQuery": {"type": "apiKey", "in": "query", "name": "key"}, "login": {"type": "http", "scheme": "basic"}},
        "schemas": {
            "Base": {"type": "object", "required": ["name"], "properties": {"id": {"type": "integer", "readOnly": True}, "name": {"type": "string", "maxLength": 40}}},
            "NewPet": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"type": "object", "properties": {
                "kind": {"type": "string", "enum": ["cat", "dog"]}, "mother": {"$ref": "#/components/schemas/NewPet"},
                "more": {"type": "object", "additionalProperties": True, "properties": {"a": {"type": "string"}}},
                "chip": {"oneOf": [{"type": "string"}, {"type": "integer"}]}}}]},
        },
    },
}
CONFIGURED = CONFIG + """
secrets: {TOKEN: {env: GITHUB_WEBHOOK_SECRET}, OTHER: {env: GITHUB_WEBHOOK_SECRET}}
configure:
  pet_store: {base_url: "%s/v1/", token: {secret: TOKEN}, api_key: {secret: OTHER}, in_query: {secret: TOKEN}, user: mona, password: {secret: TOKEN}}
"""


class Store(Server):
    def __init__(self):
        super().__init__()
        self.on("GET", "/v1/pets", lambda request: [{"id": 1}])
        self.on("POST", "/v1/pets", self.create)
        self.on("GET", "/v1/pets/{id}", lambda request, id: {"id": id})
        self.on("DELETE", "/v1/pets/{id}", lambda request, id: (204, None))
        self.on("POST", "/v1/pets/{id}/note", lambda request, id: {"said": request.body.decode()})
        self.on("POST", "/v1/search", lambda request: request.form)

    def create(self, request):
        if request.json["name"] == "Cerberus":
            raise Refused(422, {"message": "too many heads"})
        return 201, {"id": 7, **request.json}


@pytest.fixture
def store():
    with Store() as store:
        yield store


@pytest.fixture
def instance(make_engine, store):
    engine = make_engine(CONFIGURED % store.url)
    engine.write("spec.json", json.dumps(SPEC))
    engine.imported = engine.run("import", "openapi", "spec.json")
    return engine


def call(engine, action, given):
    return came_to(engine, f"pet_store/{action}@2", given)


def shown(engine, action):
    return json.loads(engine.run("actions", "show", f"pet_store/{action}", "--json").stdout)


def test_each_operation_is_an_action_and_what_is_none_is_said(instance):
    assert sorted(pathlib.Path(line).name for line in instance.imported.stdout.splitlines()) == [
        "api.lua", "create_pet.lua", "delete_pet.lua", "get_pets_pet_id.lua", "list_pets.lua", "note.lua", "plugin.yaml", "search.lua"]
    notes = [line for line in instance.imported.stderr.splitlines() if line.startswith("note: ")]
    assert notes == ["note: GET /pets: the parameter filter cannot be sent (an object)",
                     "note: PUT /pets/{petId}: left out, a body of type multipart/form-data cannot be sent"]
    assert instance.run("check").returncode == 0


def test_inputs_are_those_of_the_description(instance):
    create = shown(instance, "create_pet")
    assert create["effect"] == "write" and create["version"] == "2.1.0"
    body = create["inputs"]["body"]
    assert body["required"] and body["properties"]["name"] == {"type": "string", "max_length": 40, "required": True}
    assert body["properties"]["kind"] == {"type": "string", "enum": ["cat", "dog"]}
    assert body["properties"]["mother"] == {"type": "object"}  # a schema that holds itself ends there
    assert body["properties"]["more"] == {"type": "object"}    # what may have any members has them
    assert body["properties"]["chip"] == {"type": "any"}
    assert "id" not in body["properties"]                      # read-only: the server's
    listing = shown(instance, "list_pets")
    assert listing["effect"] == "read" and listing["doc"] == "All pets"
    assert listing["inputs"]["limit"] == {"type": "integer", "min": 1, "max": 100}


@pytest.mark.parametrize("action, given, target, header, output", [
    ("list_pets", {"limit": 2, "tags": ["a b", "c&d"], "ids": [1, 2], "X-Trace": "t"}, "/v1/pets?limit=2&tags=a%20b&tags=c%26d&ids=1%2C2",
     ("authorization", "Bearer its-a-secret-to-everybody"), {"status": 200, "json": [{"id": 1}]}),
    ("get_pets_pet_id", {"petId": "a/../b?c"}, "/v1/pets/a%2F..%2Fb%3Fc", ("x-api-key", "its-a-secret-to-everybody"), {"status": 200, "json": {"id": "a/../b?c"}}),
    ("create_pet", {"body": {"name": "Tom", "more": {"x": 1}}}, "/v1/pets", ("content-type", "application/json"),
     {"status": 201, "json": {"id": 7, "name": "Tom", "more": {"x": 1}}}),
    ("delete_pet", {"petId": "1"}, "/v1/pets/1", ("authorization", None), {"status": 204}),
    ("note", {"petId": "1", "body": "said"}, "/v1/pets/1/note", ("content-type", "text/plain"), {"status": 200, "json": {"said": "said"}}),
    ("note", {"petId": "1", "body": "said"}, "/v1/pets/1/note", ("authorization", "Basic bW9uYTppdHMtYS1zZWNyZXQtdG8tZXZlcnlib2R5"), {"status": 200}),
    ("search", {"body": {"q": "a&b"}}, "/v1/search?key=its-a-secret-to-everybody", ("content-type", "application/x-www-form-urlencoded"),
     {"status": 200, "json": {"q": ["a&b"]}}),
])
def test_an_action_sends_what_the_description_has(instance, store, action, given, target, header, output):
    came = call(instance, action, given)
    assert {name: came.get(name) for name in output} == output
    [request] = store.requests
    assert request.target == target and request.headers.get(header[0]) == header[1]
    assert ("idempotency-key" in request.headers) == (request.method != "GET")


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_cannot_leave_its_part_of_the_path(instance, store, value):
    assert call(instance, "delete_pet", {"petId": value})["code"] == "pet_store.path"
    assert not store.requests


def test_answers_that_are_failures_fail_or_are_tried_again(instance, store):
    error = call(instance, "create_pet", {"body": {"name": "Cerberus"}})
    assert error["code"] == "pet_store.422" and "too many heads" in error["message"] and error["class"] == "permanent"
    store.fail(503, {"message": "later"})
    error = call(instance, "list_pets", {})
    assert error["code"] == "pet_store.503" and error["class"] == "transient"


def test_without_its_secret_an_action_says_what_to_write(instance, store):
    instance.write("bellwire.yaml", CONFIG + f"configure: {{pet_store: {{base_url: \"{store.url}/v1\"}}}}\n")
    error = call(instance, "list_pets", {})
    assert error["code"] == "pet_store.not_configured" and "configure: {pet_store: {token: …}}" in error["message"]
    assert call(instance, "delete_pet", {"petId": "1"})["status"] == 204  # which needs none


def test_nothing_is_overwritten(instance):
    (instance.folder / "plugins/pet_store/note.lua").unlink()
    before = {path: path.read_text() for path in (instance.folder / "plugins").rglob("*.*")}
    again = instance.run("import", "openapi", "spec.json", check=False)
    assert again.returncode == 1 and "exists, and is left as it is" in again.stderr
    assert {path: path.read_text() for path in (instance.folder / "plugins").rglob("*.*")} == before


def test_a_part_of_it_under_another_name(instance):
    instance.run("import", "openapi", "spec.json", "--name", "pets", "--only", "*_pet", "--base-url", "https://pets.example")
    folder = instance.folder / "plugins/pets"
    assert sorted(path.name for path in folder.glob("*.lua")) == ["create_pet.lua", "delete_pet.lua"]
    assert '"default":"https://pets.example"' in (folder / "plugin.yaml").read_text()
    nothing = instance.run("import", "openapi", "spec.json", "--name", "none", "--only", "x*", check=False)
    assert nothing.returncode == 1 and "openapi.empty" in nothing.stderr and not (instance.folder / "plugins/none").exists()


@pytest.mark.parametrize("text, code", [
    ('{"swagger": "2.0", "paths": {}}', "openapi.version"),
    ("openapi: 4.0.0\npaths: {}\n", "openapi.version"),
    ("hello: you\n", "openapi.version"),
    ("openapi: 3.1.0\npaths: {\n", "yaml.syntax"),
    ('{"openapi": "3.1.0", ', "json.syntax"),
    ("openapi: 3.1.0\npaths: [1]\n", "openapi.empty"),
])
def test_what_is_no_description_is_refused(make_engine, text, code):
    engine = make_engine()
    engine.write("spec", text)
    refused = engine.run("import", "openapi", "spec", check=False)
    assert refused.returncode == 1 and code in refused.stderr and not refused.stdout
    assert not list((engine.folder / "plugins").glob("*")) if (engine.folder / "plugins").exists() else True


def test_no_text_of_a_description_becomes_code(make_engine):
    """Wherever a description has a text, this one has all that could end a string, a comment or a table."""
    evil = "]]\" .. os.exit() .. \"\n\r\\\0}{end--[["
    texts = evil.replace("\0", "\x01")
    spec = {"openapi": "3.1.0", "info": {"title": texts, "version": texts}, "servers": [{"url": "https://x.example/" + texts}], "security": [{texts: []}],
            "paths": {f"/{texts}/{{{texts}}}": {"post": {
                "operationId": texts, "summary": texts, "description": texts,
                "parameters": [{"name": texts, "in": where, "description": texts, "schema": {"type": "string", "enum": [texts], "description": texts}}
                               for where in ("path", "query", "header")],
                "requestBody": {"content": {"text/" + texts: {}}}}}},
            "components": {"securitySchemes": {texts: {"type": "apiKey", "in": "header", "name": texts}}}}
    engine = make_engine()
    engine.write("spec.json", json.dumps(spec))
    engine.run("import", "openapi", "spec.json", "--name", "evil")
    assert engine.run("check").returncode == 0
    [row] = [json.loads(line) for line in engine.run("actions", "--json").stdout.splitlines() if "evil/" in line]
    assert {field["doc"] for field in row["inputs"].values() if "doc" in field}


def test_schemas_without_end_come_to_one(make_engine):
    wide = {"type": "object", "properties": {f"p{n}": {"$ref": f"#/components/schemas/S{n % 7}"} for n in range(60)}}
    spec = {"openapi": "3.0.0", "info": {"title": "deep"}, "servers": [{"url": "https://deep.example"}], "paths": {"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": {
        "$ref": "#/components/schemas/S0"}}}}}}, "/b": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Loop"}}}}}}},
        "components": {"schemas": {**{f"S{n}": {"allOf": [dict(wide, title=str(n))] * 5} for n in range(7)},
                                   "Loop": {"allOf": [{"$ref": "#/components/schemas/Loop"}] * 50}}}}
    engine = make_engine()
    engine.write("spec.json", json.dumps(spec))
    engine.run("import", "openapi", "spec.json")
    assert engine.run("check").returncode == 0
    assert max(path.stat().st_size for path in (engine.folder / "plugins/deep").glob("*.lua")) < 100_000
