/* manifest.h: what the plugin says of itself: the JSON of bw_plugin.manifest. clang-format would break it where nobody looks for a break. */
#ifndef HTTP_MANIFEST_H
#define HTTP_MANIFEST_H
// clang-format off
#define TEXT(name, doc) "\"" name "\":{\"type\":\"string\",\"doc\":\"" doc "\"}"
#define NEEDED(name, doc) "\"" name "\":{\"type\":\"string\",\"required\":true,\"doc\":\"" doc "\"}"
#define SECRET(name, doc) "\"" name "\":{\"type\":\"string\",\"secret\":true,\"doc\":\"" doc "\"}"
#define NEEDED_SECRET(name, doc) "\"" name "\":{\"type\":\"string\",\"secret\":true,\"required\":true,\"doc\":\"" doc "\"}"
#define CHOICE(name, otherwise, values, doc) "\"" name "\":{\"type\":\"string\",\"default\":\"" otherwise "\",\"enum\":[" values "],\"doc\":\"" doc "\"}"
#define WHOLE(name, least, most, doc) "\"" name "\":{\"type\":\"integer\",\"min\":" #least ",\"max\":" #most ",\"doc\":\"" doc "\"}"
#define BOUND(name, most, otherwise, doc) "\"" name "\":{\"type\":\"integer\",\"min\":1,\"max\":" #most ",\"default\":" #otherwise ",\"doc\":\"" doc "\"}"
#define OBJECT(name, doc) "\"" name "\":{\"type\":\"object\",\"doc\":\"" doc "\"}"
#define PART(name, doc, fields) "\"" name "\":{\"type\":\"object\",\"doc\":\"" doc "\",\"properties\":{" fields "}}"
#define LIST(name, type, most, doc) "\"" name "\":{\"type\":\"array\",\"items\":{\"type\":\"" type "\"},\"max_items\":" #most ",\"doc\":\"" doc "\"}"

#define OAUTH2 \
    NEEDED("token_url", "where tokens are given out") "," \
    NEEDED("client_id", "who asks") "," \
    SECRET("client_secret", "of that client; not with client_auth: tls") "," \
    TEXT("scope", "what the token is asked for, several with a blank between them") "," \
    CHOICE("client_auth", "basic", "\"basic\",\"body\",\"tls\"", "how the client says who it is: in the head, in the body, or by the certificate of tls") "," \
    OBJECT("params", "others of the token request, name to text, such as audience")
#define AUTH \
    PART("basic", "user and password", NEEDED("user", "may be empty") "," NEEDED_SECRET("password", "of that user")) "," \
    PART("bearer", "a token that stays", NEEDED_SECRET("token", "sent as Authorization: Bearer")) "," \
    PART("header", "a key in a header of its own", NEEDED("name", "such as X-Api-Key") "," NEEDED_SECRET("value", "of that header")) "," \
    PART("oauth2", "client credentials (RFC 6749, 4.4)", OAUTH2)
#define TLS \
    SECRET("ca", "certificates (PEM) of the authorities to trust, instead of the machine's") "," \
    SECRET("certificate", "the client's own (PEM), and those between it and its authority") "," \
    SECRET("key", "its private key (PEM)") "," \
    SECRET("key_password", "if that is encrypted")
#define PROXY NEEDED("url", "http://HOST:PORT") "," TEXT("user", "if the proxy asks for one") "," SECRET("password", "of that user")
#define CONFIG \
    "\"connections\":{\"type\":\"array\",\"default\":[],\"max_items\":100,\"items\":{\"type\":\"object\",\"properties\":{" \
    NEEDED("name", "what steps call it") "," \
    NEEDED("base_url", "what a step's url goes on from; no other host gets what this connection holds") "," \
    OBJECT("headers", "of each request, name to text, unless the step has one of that name") "," \
    PART("auth", "one of basic, bearer, header, oauth2", AUTH) "," \
    PART("tls", "whom to trust, and who the client is", TLS) "," \
    PART("proxy", "the way out", PROXY) "}}}"

#define CONNECTION TEXT("connection", "one of the configured: url goes on from its base_url")
#define HEADERS OBJECT("headers", "name to value")
#define REQUEST \
    "{\"name\":\"http/request\",\"effect\":\"write\",\"doc\":\"Send one HTTP request. Network failures and answers of 408, 425, 429 and 5xx are tried " \
    "again; any other answer than 2xx fails the step, unless accept_status names it.\",\"inputs\":{" \
    CHOICE("method", "GET", "\"GET\",\"HEAD\",\"POST\",\"PUT\",\"PATCH\",\"DELETE\",\"OPTIONS\"", "of the request") "," \
    NEEDED("url", "http:// or https://; private addresses only if the instance allows them") "," \
    CONNECTION "," HEADERS "," \
    "\"json\":{\"type\":\"any\",\"doc\":\"sent as the JSON body\"}," \
    TEXT("body", "sent as it is; json or body, not both") "," \
    TEXT("timeout", "of this request, such as 10s; the step's own timeout is the upper bound") "," \
    LIST("accept_status", "integer", 16, "answers such as 404 that are no failure") \
    "},\"outputs\":{\"status\":{\"type\":\"integer\"}," OBJECT("headers", "names in lower case") ",\"body\":{\"type\":\"string\"}," \
    "\"json\":{\"type\":\"any\",\"doc\":\"the parsed body when it is JSON\"}}}"
#define PAGES \
    "{\"name\":\"http/pages\",\"effect\":\"read\",\"doc\":\"Read a list that a server gives out page by page (GET, JSON) into one array.\",\"inputs\":{" \
    NEEDED("url", "of the first page") "," \
    CONNECTION "," HEADERS "," \
    TEXT("timeout", "of each page, such as 10s; the step's own timeout is the upper bound of all") "," \
    CHOICE("by", "link", "\"link\",\"url\",\"cursor\",\"page\",\"offset\"", \
           "where the next page is: in the header Link (rel=next), in a URL or a cursor within the answer, or counted") "," \
    TEXT("items", "JSON pointer to the list in an answer, such as /data; left out: the answer is the list") "," \
    TEXT("next", "by url, cursor: JSON pointer to it in an answer, such as /meta/next") "," \
    TEXT("param", "by cursor, page, offset: the query parameter; left out: it has that name") "," \
    WHOLE("size", 1, 100000, "by page, offset: a page with fewer items is the last") "," \
    WHOLE("first", 0, 1000000000, "by page, offset: where it begins; left out: 1, or 0") "," \
    TEXT("from", "go on there: the next of an earlier step") "," \
    LIST("hosts", "string", 16, "others that a next page may be on, such as https://b.example; never with a connection") "," \
    BOUND("max_pages", 1000, 10, "read at most so many") "," \
    BOUND("max_items", 100000, 1000, "read no further page once there are so many") "," \
    BOUND("max_bytes", 8388608, 1000000, "of the answers together; the first is taken in any case") \
    "},\"outputs\":{\"items\":{\"type\":\"array\"},\"pages\":{\"type\":\"integer\",\"doc\":\"so many were read\"}," \
    "\"complete\":{\"type\":\"boolean\",\"doc\":\"there is nothing more\"}," TEXT("next", "if not complete: where to go on, by from") "}}"

static const char manifest[] =
    "{\"name\":\"http\",\"version\":\"1.1.0\",\"doc\":\"HTTP requests\",\"needs\":[\"network\"],"
    "\"config\":{" CONFIG "},\"actions\":[" REQUEST "," PAGES "]}";
// clang-format on
#endif
