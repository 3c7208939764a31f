/* Security schemes: what the plugin has to be told, and how a request proves who sends it. */
#include "openapi/internal.h"
#include <string.h>
#include <strings.h>

#define BEARER_DOC "sent as a bearer token"
#define OAUTH_DOC "an access token, sent as a bearer token: Bellwire does not fetch it"

static void want(struct bw_converting *converting, const char *field, bool is_secret, const char *doc)
{
    json_t *wanted = json_pack("{s:s,s:s}", "type", "string", "doc", doc);
    if (is_secret) json_object_set_new(wanted, "secret", json_true());
    json_object_set_new(converting->config, field, wanted);
}

static void begin(struct bw_buf *out, const char *name)
{
    bw_buf_append_text(out, "  ");
    bw_lua_append_key(out, name);
    bw_buf_append_text(out, " = function(ctx, request)\n    ");
}

static void add_bearer(struct bw_converting *converting, const char *name, const char *doc)
{
    struct bw_buf *out = &converting->out->auth;
    want(converting, "token", true, doc);
    begin(out, name);
    bw_buf_append_text(out, "request.headers[\"Authorization\"] = \"Bearer \" .. secret(ctx, \"token\")\n  end,\n");
}

static void add_basic(struct bw_converting *converting, const char *name)
{
    struct bw_buf *out = &converting->out->auth;
    want(converting, "user", false, "who logs in");
    want(converting, "password", true, "of user");
    begin(out, name);
    bw_buf_append_text(
        out, "request.headers[\"Authorization\"] = \"Basic \" .. ctx.base64(setting(ctx, \"user\") .. \":\" .. secret(ctx, \"password\"))\n  end,\n");
}

static void add_key(struct bw_converting *converting, const char *name, const json_t *scheme)
{
    struct bw_buf *out = &converting->out->auth;
    const char *in = bw_json_str(scheme, "in", ""), *sent_as = bw_json_str(scheme, "name", "");
    char *field = bw_openapi_snake(name);
    bool is_header = !strcmp(in, "header");
    if (!field) return;
    want(converting, field, true, is_header ? "sent as a header" : "sent in the query");
    begin(out, name);
    if (is_header)
        bw_lua_append_index(out, "request.headers", sent_as);
    else
        bw_buf_append_text(out, "request.query[#request.query + 1]");
    bw_buf_append_text(out, " = ");
    if (!is_header) {
        bw_buf_append_char(out, '{');
        bw_lua_append_string(out, bw_slice_of(sent_as));
        bw_buf_append_text(out, ", ");
    }
    bw_buf_append_text(out, "secret(ctx, ");
    bw_lua_append_string(out, bw_slice_of(field));
    bw_buf_append_text(out, is_header ? ")\n  end,\n" : ")}\n  end,\n");
    free(field);
}

/* False: it cannot be sent. */
static bool add_scheme(struct bw_converting *converting, const char *name)
{
    const json_t *all = json_object_get(json_object_get(converting->spec, "components"), "securitySchemes");
    const json_t *scheme = bw_openapi_resolve(converting->spec, json_object_get(all, name));
    const char *type = bw_json_str(scheme, "type", ""), *how = bw_json_str(scheme, "scheme", ""), *in = bw_json_str(scheme, "in", "");
    bool is_bearer = !strcmp(type, "http") && !strcasecmp(how, "bearer"), is_basic = !strcmp(type, "http") && !strcasecmp(how, "basic");
    bool is_oauth = !strcmp(type, "oauth2") || !strcmp(type, "openIdConnect");
    bool is_key = !strcmp(type, "apiKey") && (!strcmp(in, "header") || !strcmp(in, "query"));
    if (!is_bearer && !is_basic && !is_oauth && !is_key) return false;
    if (json_object_get(converting->schemes, name)) return true;
    json_object_set_new(converting->schemes, name, json_true());
    if (is_key)
        add_key(converting, name, scheme);
    else if (is_basic)
        add_basic(converting, name);
    else
        add_bearer(converting, name, is_oauth ? OAUTH_DOC : BEARER_DOC);
    return true;
}

static bool can_send(struct bw_converting *converting, const json_t *together)
{
    const char *name;
    json_t *scopes;
    json_object_foreach((json_t *)together, name, scopes) if (!add_scheme(converting, name)) return false;
    return true;
}

json_t *bw_openapi_auth(struct bw_converting *converting, const json_t *operation, const char *where)
{
    const json_t *choices = json_object_get(operation, "security");
    json_t *names = json_array(), *together, *scopes;
    const char *name;
    size_t index;
    if (!choices) choices = json_object_get(converting->spec, "security");
    json_array_foreach(choices, index, together)
    {
        if (!can_send(converting, together)) continue; /* another choice may do */
        json_object_foreach(together, name, scopes) json_array_append_new(names, json_string(name));
        return names;
    }
    if (json_array_size(choices))
        bw_openapi_note(converting, "%s: none of the ways in which it can be authorised can be sent (bearer, basic, keys in headers and queries can)",
                        where);
    return names;
}
