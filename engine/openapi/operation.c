/* One operation of the description: the file of an action. */
#include "openapi/internal.h"
#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    json_t *inputs;                       /* as the action declares them */
    struct bw_buf values, query, headers; /* of the call, as Lua */
    const char *body;                     /* "json", "form", "body" or NULL */
    char *content_type;                   /* with "body" */
};

static void forget(struct call *call)
{
    json_decref(call->inputs);
    bw_buf_free(&call->values);
    bw_buf_free(&call->query);
    bw_buf_free(&call->headers);
    free(call->content_type);
}

/* The name of an input: that of the parameter, unless two of them share it. */
static const char *input_name(struct call *call, const char *name, const char *in, struct bw_buf *room)
{
    if (!json_object_get(call->inputs, name)) return name;
    bw_buf_printf(room, "%s_%s", in, name);
    return room->data ? room->data : name;
}

static bool is_object(const json_t *field)
{
    return !strcmp(bw_json_str(field, "type", ""), "object");
}

static void take_parameter(struct bw_converting *converting, struct call *call, const char *where, const json_t *parameter)
{
    const char *name = bw_json_str(parameter, "name", ""), *in = bw_json_str(parameter, "in", "");
    bool is_path = !strcmp(in, "path"), is_query = !strcmp(in, "query"), is_header = !strcmp(in, "header");
    bool is_required = is_path || bw_json_bool(parameter, "required", false);
    struct bw_buf room = {0}, index = {0};
    if (is_header && (!strcasecmp(name, "authorization") || !strcasecmp(name, "content-type") || !strcasecmp(name, "accept"))) return;
    json_t *field = bw_openapi_field(converting->spec, json_object_get(parameter, "schema"), true);
    if (!*name || (!is_path && !is_query && !is_header) || is_object(field)) {
        bw_openapi_note(converting, "%s: the parameter %s cannot be sent (%s)%s", where, name,
                        is_object(field) ? "an object"
                        : *in            ? in
                                         : "no `in`",
                        is_required ? ", though it is required" : "");
        json_decref(field);
        return;
    }
    json_t *doc = bw_openapi_doc(bw_json_str(parameter, "description", ""));
    if (json_string_length(doc)) json_object_set(field, "doc", doc);
    json_decref(doc);
    if (is_required) json_object_set_new(field, "required", json_true());
    const char *input = input_name(call, name, in, &room);
    json_object_set_new(call->inputs, input, field);
    bw_lua_append_index(&index, "input", input);
    struct bw_buf *out = is_path ? &call->values : is_query ? &call->query : &call->headers;
    if (out->len) bw_buf_append_text(out, ", ");
    if (is_query) {
        bool is_apart = bw_json_bool(parameter, "explode", true);
        bw_buf_append_char(out, '{');
        bw_lua_append_string(out, bw_slice_of(name));
        bw_buf_printf(out, is_apart ? ", %s}" : ", api.joined(%s)}", index.data);
    } else {
        bw_lua_append_key(out, name);
        bw_buf_printf(out, " = %s", index.data);
    }
    bw_buf_free(&room);
    bw_buf_free(&index);
}

/* Those of the operation go before those of its path. */
static void take_parameters(struct bw_converting *converting, struct call *call, const char *where, const json_t *item, const json_t *operation)
{
    const json_t *own = json_object_get(operation, "parameters"), *shared = json_object_get(item, "parameters");
    size_t index, other;
    json_t *parameter, *hiding;
    json_array_foreach(own, index, parameter) take_parameter(converting, call, where, bw_openapi_resolve(converting->spec, parameter));
    json_array_foreach(shared, index, parameter)
    {
        const json_t *resolved = bw_openapi_resolve(converting->spec, parameter);
        bool is_hidden = false;
        json_array_foreach(own, other, hiding)
        {
            const json_t *mine = bw_openapi_resolve(converting->spec, hiding);
            is_hidden = is_hidden || (json_equal(json_object_get(mine, "name"), json_object_get(resolved, "name")) &&
                                      json_equal(json_object_get(mine, "in"), json_object_get(resolved, "in")));
        }
        if (!is_hidden) take_parameter(converting, call, where, resolved);
    }
}

static bool is_json(const char *type)
{
    size_t len = strcspn(type, ";");
    return (len == 16 && !strncasecmp(type, "application/json", len)) || (len > 5 && !strncasecmp(type + len - 5, "+json", 5));
}

/* False: it is of a kind that cannot be sent. */
static bool take_body(struct bw_converting *converting, struct call *call, const char *where, const json_t *operation)
{
    const json_t *body = bw_openapi_resolve(converting->spec, json_object_get(operation, "requestBody"));
    const char *type, *json = NULL, *form = NULL, *text = NULL;
    json_t *content = json_object_get(body, "content"), *ignored, *field;
    struct bw_buf room = {0};
    if (!json_object_size(content)) return true;
    json_object_foreach(content, type, ignored)
    {
        if (!json && is_json(type))
            json = type;
        else if (!strcmp(type, "application/x-www-form-urlencoded"))
            form = type;
        else if (!text && strncmp(type, "multipart/", 10) != 0 && !strchr(type, '*'))
            text = type;
    }
    const char *chosen = json ? json : form ? form : text;
    if (!chosen) {
        json_object_foreach(content, type, ignored) break;
        bw_openapi_note(converting, "%s: left out, a body of type %s cannot be sent", where, type);
        return false;
    }
    call->body = json ? "json" : form ? "form" : "body";
    if (json || form) {
        field = bw_openapi_field(converting->spec, json_object_get(json_object_get(content, chosen), "schema"), true);
    } else {
        field = json_pack("{s:s,s:s}", "type", "string", "doc", chosen);
        call->content_type = bw_slice_dup(bw_slice_of(chosen));
    }
    if (bw_json_bool(body, "required", false)) json_object_set_new(field, "required", json_true());
    const char *input = input_name(call, "body", "request", &room);
    json_object_set_new(call->inputs, input, field);
    bw_buf_free(&room);
    return true;
}

static char *action_name(struct bw_converting *converting, const char *method, const char *path, const json_t *operation)
{
    struct bw_buf text = {0};
    const char *id = bw_json_str(operation, "operationId", "");
    bw_buf_printf(&text, *id ? "%s" : "%s%s", *id ? id : method, path);
    char *name = text.failed ? NULL : bw_openapi_snake(text.data);
    bw_buf_free(&text);
    for (int again = 2; name && json_object_get(converting->names, name); again++) {
        struct bw_buf other = {0};
        bw_buf_printf(&other, "%.*s_%d", (int)strlen(name) - (again > 2 ? (again > 10 ? 3 : 2) : 0), name, again);
        free(name);
        name = other.failed ? NULL : bw_slice_dup(bw_buf_slice(&other));
        bw_buf_free(&other);
    }
    return name;
}

/* A comment is one line, whatever the description holds. */
static void append_comment(struct bw_buf *out, const char *text)
{
    for (; *text; text++) bw_buf_append_char(out, iscntrl((unsigned char)*text) ? ' ' : *text);
}

static void append_member(struct bw_buf *out, const char *name, const struct bw_buf *list)
{
    if (list->len) bw_buf_printf(out, "      %s = {%s},\n", name, list->data);
}

static void write_action(struct bw_converting *converting, struct call *call, const char *name, const char *method, const char *path,
                         const json_t *operation, const json_t *auth, struct bw_buf *out)
{
    const char *upper_end = method + strlen(method), *summary = bw_json_str(operation, "summary", "");
    bool reads = !strcmp(method, "get") || !strcmp(method, "head") || !strcmp(method, "options");
    struct bw_buf upper = {0};
    for (const char *at = method; at < upper_end; at++) bw_buf_append_char(&upper, (char)toupper((unsigned char)*at));
    json_t *doc = bw_openapi_doc(*summary ? summary : bw_json_str(operation, "description", ""));
    bw_buf_printf(out, "-- %s ", upper.data);
    append_comment(out, path);
    bw_buf_append_text(out, json_is_true(json_object_get(operation, "deprecated")) ? " (deprecated)\n" : "\n");
    bw_buf_printf(out, "local api = require \"api\"\nreturn action {\n  name = \"%s/%s\", version = \"%s\", effect = \"%s\",\n",
                  converting->out->name, name, converting->version, reads ? "read" : "write");
    if (json_string_length(doc)) {
        bw_buf_append_text(out, "  doc = ");
        bw_lua_append_string(out, bw_json_slice(doc));
        bw_buf_append_text(out, ",\n");
    }
    bw_buf_append_text(out, "  inputs = ");
    bw_lua_append_value(out, call->inputs, 2);
    bw_buf_append_text(out, ",\n  outputs = {status = {type = \"integer\"}, json = {type = \"any\"}, body = {type = \"string\"}},\n"
                            "  run = function(ctx, input)\n    return api.call(ctx, {\n");
    bw_buf_printf(out, "      method = \"%s\", path = ", upper.data);
    bw_lua_append_string(out, bw_slice_of(path));
    bw_buf_append_text(out, ", auth = ");
    bw_lua_append_value(out, auth, 6);
    bw_buf_append_text(out, ",\n");
    append_member(out, "values", &call->values);
    append_member(out, "query", &call->query);
    append_member(out, "headers", &call->headers);
    if (call->body) {
        bw_buf_printf(out, "      %s = input.%s,", call->body, json_object_get(call->inputs, "request_body") ? "request_body" : "body");
        if (call->content_type) {
            bw_buf_append_text(out, " content_type = ");
            bw_lua_append_string(out, bw_slice_of(call->content_type));
            bw_buf_append_char(out, ',');
        }
        bw_buf_append_char(out, '\n');
    }
    bw_buf_append_text(out, "    })\n  end,\n}\n");
    bw_buf_free(&upper);
    json_decref(doc);
}

void bw_openapi_operation(struct bw_converting *converting, const char *method, const char *path, const json_t *item, const json_t *operation,
                          const char *only)
{
    struct call call = {.inputs = json_object()};
    char where[300];
    snprintf(where, sizeof where, "%.8s %.280s", method, path);
    for (char *at = where; *at && *at != ' '; at++) *at = (char)toupper((unsigned char)*at);
    char *name = action_name(converting, method, path, operation);
    bool is_wanted = name && (!only || !fnmatch(only, name, 0));
    if (!name) converting->is_out_of_memory = true;
    if (is_wanted) take_parameters(converting, &call, where, item, operation);
    if (is_wanted && take_body(converting, &call, where, operation)) {
        json_t *auth = bw_openapi_auth(converting, operation, where);
        struct bw_buf file = {0};
        bw_buf_printf(&file, "%s.lua", name);
        struct bw_buf *text = bw_made_add_file(&converting->out->made, bw_buf_take(&file, NULL), false);
        if (text) write_action(converting, &call, name, method, path, operation, auth, text);
        json_object_set_new(converting->names, name, json_true());
        json_decref(auth);
    }
    free(name);
    forget(&call);
}
