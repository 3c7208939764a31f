/* What each provider signs, written down a second time: the signatures are made here by the formula and OpenSSL alone, and the judge must believe
 * them, and nothing else. */
#include "base/json_view.h"
#include "source_fixture.h"
#include <time.h>

enum stamp { NO_STAMP, SECONDS, MILLISECONDS, RFC3339, RFC1123 };
enum coding { HEX, BASE64, BASE64URL };

/* {ts} {id} {body} {url} {hash} (SHA-256 of the body, hex) {secret} in message and headers; {sig} in headers. */
static const struct formula {
    const char *scheme, *secret_name, *secret;
    const char *digest; /* HMAC; "plain": SHA-256 of the message */
    enum coding coding;
    enum stamp stamp;
    const char *message, *headers;
    int past, future; /* seconds that a stamp may be off */
    const char *key;  /* of the HMAC, when it is not the secret; length first */
    size_t key_len;
} formulas[] = {
#define UTF8 NULL, 0
#define FIVE 300, 300, UTF8
#define NONE 0, 0, UTF8
#define STANDARD "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "SHA256", BASE64, SECONDS, "{id}.{ts}.{body}"
#define STANDARD_KEY 300, 300, "secret-secret-secret-secret", 27
#define WEBHOOK_HEADERS "webhook-id: {id}\nwebhook-timestamp: {ts}\nwebhook-signature: v1,{sig}\n"
#define SVIX_HEADERS "svix-id: {id}\nsvix-timestamp: {ts}\nsvix-signature: v1,{sig}\n"
    {"openai", "webhook_secret", STANDARD, WEBHOOK_HEADERS, STANDARD_KEY},
    {"openai", "webhook_secret", "plain-text-key", "SHA256", BASE64, SECONDS, "{id}.{ts}.{body}", WEBHOOK_HEADERS, FIVE},
    {"replicate", "signing_secret", STANDARD, WEBHOOK_HEADERS, STANDARD_KEY},
    {"resend", "signing_secret", STANDARD, SVIX_HEADERS, STANDARD_KEY},
    {"clerk", "signing_secret", STANDARD, SVIX_HEADERS, STANDARD_KEY},
    {"gitlab-signing-token", "signing_token", STANDARD, WEBHOOK_HEADERS, STANDARD_KEY},
    {"supabase", "signing_secret", STANDARD, WEBHOOK_HEADERS, STANDARD_KEY},
    {"supabase", "signing_secret", "v1," STANDARD, WEBHOOK_HEADERS, STANDARD_KEY},
    {"bitbucket-data-center", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Hub-Signature: sha256={sig}\nX-Request-Id: r1\n", NONE},
    {"gitea", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Gitea-Signature: {sig}\n", NONE},
    {"gogs", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Gogs-Signature: {sig}\n", NONE},
    {"circleci", "secret_token", "k", "SHA256", HEX, NO_STAMP, "{body}", "circleci-signature: v1={sig},v2=00\n", NONE},
    {"buildkite", "token", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "X-Buildkite-Signature: timestamp={ts},signature={sig}\n", FIVE},
    {"pagerduty", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-PagerDuty-Signature: v1=00,v1={sig}\n", NONE},
    {"cloudflare-stream", "secret", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "Webhook-Signature: time={ts},sig1={sig}\n", FIVE},
    {"launchdarkly", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-LD-Signature: {sig}\n", NONE},
    {"tailscale", "secret", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "Tailscale-Webhook-Signature: t={ts},v1={sig}\n", FIVE},
    {"adyen-platform", "hmac_key", "6b6b", "SHA256", BASE64, NO_STAMP, "{body}", "HmacSignature: {sig}\n", 0, 0, "kk", 2},
    {"mollie", "signing_secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Mollie-Signature: sha256={sig}\n", NONE},
    {"paystack", "secret_key", "k", "SHA512", HEX, NO_STAMP, "{body}", "x-paystack-signature: {sig}\n", NONE},
    {"gocardless", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "Webhook-Signature: {sig}\n", NONE},
    {"lemon-squeezy", "signing_secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Signature: {sig}\n", NONE},
    {"coinbase-commerce", "shared_secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-CC-Webhook-Signature: {sig}\n", NONE},
    {"coinbase-cdp", "secret", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "X-Hook0-Signature: t={ts},v0={sig},h=a,v1=00\n", FIVE},
    {"xero", "webhook_key", "k", "SHA256", BASE64, NO_STAMP, "{body}", "x-xero-signature: {sig}\n", NONE},
    {"recharge", "client_secret", "k", "plain", HEX, NO_STAMP, "{secret}{body}", "X-Recharge-Hmac-Sha256: {sig}\n", NONE},
    {"ripple-collections", "signature_verification_key", "a2s=", "SHA256", HEX, MILLISECONDS, "{ts}.{hash}",
     "X-Webhook-Signature: t={ts},v1={sig}\nX-Webhook-Timestamp: {ts}\n", 300, 300, "kk", 2},
    {"airwallex", "secret", "k", "SHA256", HEX, MILLISECONDS, "{ts}{body}", "x-signature: {sig}\nx-timestamp: {ts}\n", FIVE},
    {"fintoc", "secret", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "Fintoc-Signature: t={ts},v1={sig}\n", FIVE},
    {"line", "channel_secret", "k", "SHA256", BASE64, NO_STAMP, "{body}", "x-line-signature: {sig}\n", NONE},
    {"whatsapp", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Hub-Signature-256: sha256={sig}\n", NONE},
    {"lark", "encrypt_key", "k", "plain", HEX, SECONDS, "{ts}n1{secret}{body}",
     "X-Lark-Signature: {sig}\nX-Lark-Request-Timestamp: {ts}\nX-Lark-Request-Nonce: n1\n", FIVE},
    {"twitch", "secret", "k", "SHA256", HEX, RFC3339, "{id}{ts}{body}",
     "Twitch-Eventsub-Message-Signature: sha256={sig}\nTwitch-Eventsub-Message-Id: {id}\nTwitch-Eventsub-Message-Timestamp: {ts}\n", 600, 300, UTF8},
    {"woocommerce", "secret", "k", "SHA256", BASE64, NO_STAMP, "{body}", "X-WC-Webhook-Signature: {sig}\n", NONE},
    {"hubspot-v3", "client_secret", "k", "SHA256", BASE64, MILLISECONDS, "POST{url}{body}{ts}",
     "X-HubSpot-Signature-v3: {sig}\nX-HubSpot-Request-Timestamp: {ts}\n", FIVE},
    {"hubspot-v1", "client_secret", "k", "plain", HEX, NO_STAMP, "{secret}{body}", "X-HubSpot-Signature: {sig}\n", NONE},
    {"hubspot-v2", "client_secret", "k", "plain", HEX, NO_STAMP, "{secret}POST{url}{body}", "X-HubSpot-Signature: {sig}\n", NONE},
    {"trello", "secret", "k", "SHA1", BASE64, NO_STAMP, "{body}{url}", "X-Trello-Webhook: {sig}\n", NONE},
    {"box", "primary_key", "k", "SHA256", BASE64, RFC3339, "{body}{ts}",
     "BOX-SIGNATURE-PRIMARY: {sig}\nBOX-DELIVERY-TIMESTAMP: {ts}\nBOX-SIGNATURE-VERSION: 1\nBOX-SIGNATURE-ALGORITHM: HmacSHA256\n", 600, 5, UTF8},
    {"box", "secondary_key", "k", "SHA256", BASE64, RFC3339, "{body}{ts}",
     "BOX-SIGNATURE-SECONDARY: {sig}\nBOX-DELIVERY-TIMESTAMP: {ts}\nBOX-SIGNATURE-VERSION: 1\nBOX-SIGNATURE-ALGORITHM: HmacSHA256\n", 600, 5, UTF8},
    {"docusign", "connect_key", "k", "SHA256", BASE64, NO_STAMP, "{body}", "X-DocuSign-Signature-1: {sig}\n", NONE},
    {"docusign", "connect_key", "k", "SHA256", BASE64, NO_STAMP, "{body}", "X-DocuSign-Signature-7: {sig}\n", NONE},
    {"sanity", "secret", "k", "SHA256", BASE64URL, MILLISECONDS, "{ts}.{body}", "sanity-webhook-signature: t={ts},v1={sig}\n", FIVE},
    {"webflow", "secret_key", "k", "SHA256", HEX, MILLISECONDS, "{ts}:{body}", "x-webflow-signature: {sig}\nx-webflow-timestamp: {ts}\n", FIVE},
    {"workos", "signing_secret", "k", "SHA256", HEX, MILLISECONDS, "{ts}.{body}", "WorkOS-Signature: t={ts}, v1={sig}\n", 180, 180, UTF8},
    {"mux", "signing_secret", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "Mux-Signature: t={ts},v1=00,v1={sig}\n", FIVE},
    {"elevenlabs", "secret", "k", "SHA256", HEX, SECONDS, "{ts}.{body}", "ElevenLabs-Signature: t={ts},v0={sig}\n", 1800, 300, UTF8},
    {"klaviyo", "secret_key", "k", "SHA256", HEX, RFC1123, "{body}{ts}", "Klaviyo-Signature: {sig}\nKlaviyo-Timestamp: {ts}\n", FIVE},
    {"intuit", "verifier_token", "k", "SHA256", BASE64, NO_STAMP, "{body}", "intuit-signature: {sig}\n", NONE},
    {"viber", "auth_token", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Viber-Content-Signature: {sig}\n", NONE},
    {"nylas", "webhook_secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "x-nylas-signature: {sig}\n", NONE},
    {"pusher", "secret", "k", "SHA256", HEX, NO_STAMP, "{body}", "X-Pusher-Signature: {sig}\nX-Pusher-Key: a\n", NONE},
    {"tally", "signing_secret", "k", "SHA256", BASE64, NO_STAMP, "{body}", "Tally-Signature: {sig}\n", NONE},
    {"fastspring", "secret", "k", "SHA256", BASE64, NO_STAMP, "{body}", "X-FS-Signature: {sig}\n", NONE},
    {"expo", "secret", "k", "SHA1", HEX, NO_STAMP, "{body}", "expo-signature: sha1={sig}\n", NONE},
    {"contentful", "signing_secret", "k", "SHA256", HEX, MILLISECONDS,
     "POST\n/in/test\na-header:b c;x-contentful-signed-headers:a-header,x-contentful-signed-headers,x-contentful-timestamp;"
     "x-contentful-timestamp:{ts}\n{body}",
     "A-Header:  b c \nx-contentful-signature: {sig}\nx-contentful-timestamp: {ts}\n"
     "x-contentful-signed-headers: x-contentful-timestamp,a-header,x-contentful-signed-headers\n",
     29, 30, UTF8}, /* its toolkit refuses what is 30 s old */
};

#define URL "https://bellwire.example/in/test"
static const char body[] = "{\"id\":\"e1\",\"type\":\"a.b\",\"time_ms\":1760000000000}",
                  other_body[] = "{\"id\":\"e1\",\"type\":\"a.c\",\"time_ms\":1760000000000}";

/* Fixed buffers: the test fails when one is too small. */
struct texts {
    char stamp[64], hash[65], message[2000], signature[200], headers[2000];
};

static void append(char *out, size_t size, const char *text, size_t len)
{
    size_t used = strlen(out);
    assert_true(used + len < size);
    memcpy(out + used, text, len);
    out[used + len] = '\0';
}

static void expand(const struct formula *formula, const struct texts *texts, const char *text, const char *of_body, char *out, size_t size)
{
    const struct {
        const char *hole, *value;
    } holes[] = {{"{ts}", texts->stamp},        {"{id}", "msg-1"},          {"{body}", of_body}, {"{url}", URL}, {"{hash}", texts->hash},
                 {"{secret}", formula->secret}, {"{sig}", texts->signature}};
    *out = '\0';
    while (*text) {
        size_t i = 0;
        while (i < COUNT(holes) && strncmp(text, holes[i].hole, strlen(holes[i].hole)) != 0) i++;
        if (i < COUNT(holes)) {
            append(out, size, holes[i].value, strlen(holes[i].value));
            text += strlen(holes[i].hole);
        } else {
            append(out, size, text++, 1);
        }
    }
}

static void write_stamp(enum stamp stamp, int64_t at_s, char *out)
{
    time_t seconds = (time_t)at_s;
    struct tm parts;
    assert_non_null(gmtime_r(&seconds, &parts));
    switch (stamp) {
    case NO_STAMP: *out = '\0'; break;
    case SECONDS: format(out, 64, "%lld", (long long)at_s); break;
    case MILLISECONDS: format(out, 64, "%lld", (long long)at_s * 1000); break;
    case RFC3339: assert_true(strftime(out, 64, "%Y-%m-%dT%H:%M:%SZ", &parts)); break;
    case RFC1123: assert_true(strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &parts)); break;
    }
}

static void encode(enum coding coding, const unsigned char *bytes, size_t len, char *out)
{
    if (coding == HEX) {
        for (size_t i = 0; i < len; i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
        return;
    }
    EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    for (char *c = out; coding == BASE64URL && *c; c++) *c = *c == '+' ? '-' : *c == '/' ? '_' : *c == '=' ? '\0' : *c;
}

/* Headers of a request that the provider would send at `at_s`. */
static void sign(const struct formula *formula, const char *key, size_t key_len, const char *of_body, int64_t at_s, struct texts *texts)
{
    unsigned char mac[64], hash[32];
    unsigned len = 0;
    size_t hash_len;
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, of_body, strlen(of_body), hash, &hash_len));
    for (size_t i = 0; i < 32; i++) snprintf(texts->hash + 2 * i, 3, "%02x", hash[i]);
    write_stamp(formula->stamp, at_s, texts->stamp);
    expand(formula, texts, formula->message, of_body, texts->message, sizeof texts->message);
    const unsigned char *message = (const unsigned char *)texts->message;
    if (!strcmp(formula->digest, "plain")) {
        assert_true(EVP_Q_digest(NULL, "SHA256", NULL, message, strlen(texts->message), mac, &hash_len));
        len = 32;
    } else {
        assert_non_null(HMAC(EVP_get_digestbyname(formula->digest), key, (int)key_len, message, strlen(texts->message), mac, &len));
    }
    encode(formula->coding, mac, len, texts->signature);
    expand(formula, texts, formula->headers, of_body, texts->headers, sizeof texts->headers);
}

static void assert_all_headers_needed(const struct fixture *fixture, const struct formula *formula, const struct texts *texts)
{
    for (const char *line = texts->headers; *line; line = strchr(line, '\n') + 1) {
        char less[2000] = "", twice[2000] = "";
        size_t len = (size_t)(strchr(line, '\n') + 1 - line);
        append(less, sizeof less, texts->headers, (size_t)(line - texts->headers));
        append(less, sizeof less, line + len, strlen(line + len));
        append(twice, sizeof twice, texts->headers, strlen(texts->headers));
        append(twice, sizeof twice, line, len);
        if (strstr(line, texts->signature) == NULL || strstr(line, texts->signature) > line + len) continue; /* others may not matter */
        assert_refused(fixture, less, body, NULL);
        if (strcmp(formula->scheme, "mollie")) assert_refused(fixture, twice, body, "duplicate header");
    }
}

static void test_each_formula_is_believed_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(formulas); i++) {
        const struct formula *formula = &formulas[i];
        struct fixture fixture = {0};
        struct texts texts = {0};
        const char *key = formula->key ? formula->key : formula->secret;
        size_t key_len = formula->key ? formula->key_len : strlen(key);
        add_secret(&fixture, formula->secret_name, bw_slice_of(formula->secret));
        open_source(&fixture, formula->scheme);
        sign(formula, key, key_len, body, NOW_S, &texts);
        assert_accepted(&fixture, texts.headers, body);
        assert_refused(&fixture, texts.headers, other_body, NULL);
        assert_refused(&fixture, texts.headers, "", NULL);
        assert_all_headers_needed(&fixture, formula, &texts);
        if (formula->stamp != NO_STAMP) {
            struct texts later = {0};
            char mixed[2000];
            strcpy(later.signature, texts.signature);
            write_stamp(formula->stamp, NOW_S + 1, later.stamp);
            expand(formula, &later, formula->headers, body, mixed, sizeof mixed);
            assert_refused(&fixture, mixed, body, "bad signature"); /* another time under the same signature */
            sign(formula, key, key_len, body, NOW_S - formula->past, &later);
            assert_accepted(&fixture, later.headers, body);
            sign(formula, key, key_len, body, NOW_S - formula->past - 1, &later);
            assert_refused(&fixture, later.headers, body, "stale timestamp");
            sign(formula, key, key_len, body, NOW_S + formula->future, &later);
            assert_accepted(&fixture, later.headers, body);
            sign(formula, key, key_len, body, NOW_S + formula->future + 1, &later);
            assert_refused(&fixture, later.headers, body, "timestamp in the future");
        }
        if (strcmp(formula->digest, "plain")) {
            sign(formula, "another key", 11, body, NOW_S, &texts);
            assert_refused(&fixture, texts.headers, body, "bad signature");
        }
        texts.signature[strlen(texts.signature) - 1] = '\0';
        expand(formula, &texts, formula->headers, body, texts.headers, sizeof texts.headers);
        assert_refused(&fixture, texts.headers, body, NULL);
        close_source(&fixture);
    }
}

/* ---- those that need more than a line ---- */

static const char *mac_of(const char *digest, const char *key, size_t key_len, const char *message, enum coding coding, char out[200])
{
    unsigned char mac[64];
    unsigned len = 0;
    assert_non_null(HMAC(EVP_get_digestbyname(digest), key, (int)key_len, (const unsigned char *)message, strlen(message), mac, &len));
    encode(coding, mac, len, out);
    return out;
}

#define FORM "content-type: application/x-www-form-urlencoded\n"

static void test_twilio_signs_the_fields_of_a_form_in_order(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[200], lines[400];
    add_secret(&fixture, "auth_token", BW_SLICE("t0ken"));
    open_source(&fixture, "twilio");
    /* repeated names: each value once, in order; '+' and %XX decoded; the port as it is, without it, with it */
    static const char form[] = "To=%2B1+2&Digits=1234&B=z&B=a&B=z&Empty=";
    static const char *const urls[] = {URL, "https://bellwire.example:443/in/test"};
    for (size_t i = 0; i < COUNT(urls); i++) {
        char message[300];
        format(message, sizeof message, "%sBaBzDigits1234EmptyTo+1 2", urls[i]);
        format(lines, sizeof lines, FORM "x-twilio-signature: %s\n", mac_of("SHA1", "t0ken", 5, message, BASE64, sig));
        assert_accepted(&fixture, lines, form);
        assert_refused(&fixture, lines, "To=%2B1+2&Digits=1235&B=z&B=a&B=z&Empty=", "bad signature");
        assert_refused(&fixture, lines, "To=%2B1+2&Digits=1234&B=z&B=a&Empty=&C=", "bad signature");
        assert_accepted(&fixture, lines, "B=a&B=z&Digits=1234&Empty=&To=%2b1%202");
    }
    format(lines, sizeof lines, FORM "x-twilio-signature: %s\n", mac_of("SHA1", "t0ken", 5, URL ":80BaBzDigits1234EmptyTo+1 2", BASE64, sig));
    assert_refused(&fixture, lines, form, "bad signature");
    /* JSON whose hash is not in the URL: nothing vouches for the body */
    format(lines, sizeof lines, "content-type: application/json\nx-twilio-signature: %s\n", mac_of("SHA1", "t0ken", 5, URL, BASE64, sig));
    assert_refused(&fixture, lines, "{}", "a signed part is missing or repeated");
    close_source(&fixture);
}

static struct bw_judgement judge_url(const struct fixture *fixture, const char *url, const char *lines_text, const char *text, struct bw_buf *scratch)
{
    struct lines lines;
    struct bw_judgement out;
    split_lines(&lines, bw_slice_of(lines_text));
    const char *query = strchr(url, '?');
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = bw_slice_of(url),
                                       .query = bw_slice_of(query ? query + 1 : ""),
                                       .headers = lines.headers,
                                       .header_count = lines.count,
                                       .body = bw_slice_of(text),
                                       .now_ms = NOW_MS};
    bw_source_judge(fixture->source, &request, scratch, &out);
    return out;
}

static void test_twilio_puts_the_hash_of_json_into_the_url(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    unsigned char hash[32];
    size_t len;
    char text[65], url[200], twice[300], sig[200], lines[300];
    add_secret(&fixture, "auth_token", BW_SLICE("t0ken"));
    open_source(&fixture, "twilio");
    assert_true(EVP_Q_digest(NULL, "SHA256", NULL, body, strlen(body), hash, &len));
    encode(HEX, hash, 32, text);
    format(url, sizeof url, URL "?bodySHA256=%s", text);
    format(lines, sizeof lines, "content-type: application/json\nx-twilio-signature: %s\n", mac_of("SHA1", "t0ken", 5, url, BASE64, sig));
    assert_string_equal(judge_url(&fixture, url, lines, body, &scratch).reason, "verified");
    assert_int_equal(judge_url(&fixture, url, lines, other_body, &scratch).verdict, BW_REFUSED);
    format(twice, sizeof twice, "%s&bodySHA256=%s", url, text);
    format(lines, sizeof lines, "content-type: application/json\nx-twilio-signature: %s\n", mac_of("SHA1", "t0ken", 5, twice, BASE64, sig));
    assert_int_equal(judge_url(&fixture, twice, lines, body, &scratch).verdict, BW_REFUSED);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_mandrill_signs_url_and_fields(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char sig[200], lines[300];
    add_secret(&fixture, "webhook_key", BW_SLICE("k"));
    open_source(&fixture, "mandrill");
    format(lines, sizeof lines, FORM "x-mandrill-signature: %s\n",
           mac_of("SHA1", "k", 1, URL "mandrill_events[{\"event\":\"send\"}]zy", BASE64, sig));
    const struct bw_judgement out =
        judge_at(fixture.source, bw_slice_of(lines), BW_SLICE("z=y&mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D"), NOW_MS, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.data, "[{\"event\":\"send\"}]"));
    assert_refused(&fixture, lines, "z=y&mandrill_events=%5B%7B%22event%22%3A%22sent%22%7D%5D", "bad signature");
    assert_refused(&fixture, lines, "z=%y&mandrill_events=%5B%7B%22event%22%3A%22send%22%7D%5D", NULL);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

#define ADYEN_ITEM(reference, value, sig)                                                                                                     \
    "{\"NotificationRequestItem\":{\"additionalData\":{\"hmacSignature\":\"" sig "\"},\"amount\":{\"currency\":\"EUR\",\"value\":" value "}," \
    "\"eventCode\":\"AUTHORISATION\",\"merchantAccountCode\":\"M\",\"merchantReference\":\"" reference                                        \
    "\",\"pspReference\":\"P1\",\"success\":\"true\"}}"

static void test_adyen_signs_each_item(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char one[200], two[200], text[2000];
    add_secret(&fixture, "hmac_key", BW_SLICE("6B6b"));
    open_source(&fixture, "adyen");
    mac_of("SHA256", "kk", 2, "P1::M:a:b:100:EUR:AUTHORISATION:true", BASE64, one); /* a colon in the merchant's own reference */
    mac_of("SHA256", "kk", 2, "P1::M:r2:7:EUR:AUTHORISATION:true", BASE64, two);
    format(text, sizeof text, "{\"live\":\"false\",\"notificationItems\":[" ADYEN_ITEM("a:b", "100", "%s") "," ADYEN_ITEM("r2", "7", "%s") "]}", one,
           two);
    struct bw_judgement out = judge_at(fixture.source, BW_SLICE(""), bw_slice_of(text), NOW_MS, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_int_equal(bw_json_view_count((struct bw_json_view){out.items}), 2);
    assert_true(bw_source_names_are_signed(fixture.source));
    /* one good item does not carry a bad one */
    format(text, sizeof text, "{\"notificationItems\":[" ADYEN_ITEM("a:b", "100", "%s") "," ADYEN_ITEM("r2", "8", "%s") "]}", one, two);
    assert_refused(&fixture, "", text, "bad signature");
    /* the same bytes cut otherwise */
    format(text, sizeof text, "{\"notificationItems\":[" ADYEN_ITEM("a", "\"b:100\"", "%s") "]}", one);
    assert_refused(&fixture, "", text, "ambiguous signed part");
    assert_refused(&fixture, "", "{\"notificationItems\":[]}", "no item");
    assert_refused(&fixture, "", "{\"notificationItems\":{}}", "no items");
    assert_refused(&fixture, "", "{}", "no items");
    format(text, sizeof text, "{\"notificationItems\":[" ADYEN_ITEM("a:b", "100", "%s") ",7]}", one);
    assert_refused(&fixture, "", text, "missing signature");
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_braintree_signs_the_payload_with_a_derived_key(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    unsigned char key[20];
    size_t len;
    char plain[200], with_line[200], text[600];
    add_secret(&fixture, "private_key", BW_SLICE("priv"));
    add_secret(&fixture, "public_key", BW_SLICE("pub"));
    open_source(&fixture, "braintree");
    assert_true(EVP_Q_digest(NULL, "SHA1", NULL, "priv", 4, key, &len));
    mac_of("SHA1", (char *)key, 20, "PHhtbC8+", HEX, plain);
    mac_of("SHA1", (char *)key, 20, "PHhtbC8+\n", HEX, with_line);
    format(text, sizeof text, "bt_signature=other%%7C00%%26pub%%7C%s&bt_payload=PHhtbC8%%2B", plain);
    assert_accepted(&fixture, FORM, text);
    format(text, sizeof text, "bt_signature=pub%%7C%s&bt_payload=PHhtbC8%%2B", with_line);
    assert_accepted(&fixture, FORM, text);
    format(text, sizeof text, "bt_signature=pub%%7C%s&bt_payload=PHhtbC9%%2B", plain);
    assert_refused(&fixture, FORM, text, "bad signature");
    format(text, sizeof text, "bt_signature=other%%7C%s&bt_payload=PHhtbC8%%2B", plain);
    assert_refused(&fixture, FORM, text, "missing signature");
    format(text, sizeof text, "bt_signature=pub%%7C%s&bt_payload=PHhtbC8%%2B&bt_payload=x", plain);
    assert_refused(&fixture, FORM, text, NULL);
    mac_of("SHA1", (char *)key, 20, "a-b", HEX, plain);
    format(text, sizeof text, "bt_signature=pub%%7C%s&bt_payload=a-b", plain);
    assert_refused(&fixture, FORM, text, "a required value is missing or another one");
    /* the challenge */
    mac_of("SHA1", (char *)key, 20, "20f9f8ed05f77439fe955c977e4c8a53", HEX, plain);
    struct bw_request request = {.method = BW_SLICE("GET"),
                                 .url = BW_SLICE(URL),
                                 .query = BW_SLICE("bt_challenge=20f9f8ed05f77439fe955c977e4c8a53"),
                                 .body = BW_SLICE(""),
                                 .now_ms = NOW_MS};
    struct bw_judgement out;
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    assert_true(bw_slice_is(out.answer_body, format(text, sizeof text, "pub|%s", plain)));
    /* what is answered cannot be the signature of a notification: that is not of hex digits alone */
    format(text, sizeof text, "bt_signature=pub%%7C%s&bt_payload=20f9f8ed05f77439fe955c977e4c8a53", plain);
    assert_refused(&fixture, FORM, text, "a required value is missing or another one");
    static const char *const refused[] = {"not-hex", "", "20f9f8ed05f77439fe9", "20f9f8ed05f77439fe955c977e4c8a530",
                                          "20F9F8ED05F77439FE955C977E4C8A53"};
    for (size_t i = 0; i < COUNT(refused); i++) {
        request.query = bw_slice_of(format(text, sizeof text, "bt_challenge=%s", refused[i]));
        bw_source_judge(fixture.source, &request, &scratch, &out);
        assert_int_equal(out.verdict, BW_REFUSED);
    }
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_a_form_of_gitea_is_its_payload(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char sig[200], lines[300];
    add_secret(&fixture, "secret", BW_SLICE("k"));
    open_source(&fixture, "forgejo");
    format(lines, sizeof lines, FORM "x-gitea-signature: %s\n", mac_of("SHA256", "k", 1, "{\"a\":1}", HEX, sig));
    const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(lines), BW_SLICE("x=1&payload=%7B%22a%22%3A1%7D"), NOW_MS, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.data, "{\"a\":1}"));
    assert_refused(&fixture, lines, "payload=%7B%22a%22%3A2%7D", "bad signature");
    assert_refused(&fixture, lines, "payload=%7B%22a%22%3A1%7D&payload=%7B%22a%22%3A1%7D", NULL);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_box_signs_the_escaped_text_too_and_each_key_has_its_header(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[200], lines[500];
    static const char rest[] = "box-delivery-timestamp: 2025-10-09T08:53:20Z\nbox-signature-algorithm: HmacSHA256\n";
    add_secret(&fixture, "primary_key", BW_SLICE("p"));
    add_secret(&fixture, "secondary_key", BW_SLICE("s"));
    open_source(&fixture, "box");
    static const char odd[] = "{\"n\":\"\xc3\xbc/\xf0\x9f\x9a\x80\\/\"}", escaped[] = "{\"n\":\"\\u00fc\\/\\ud83d\\ude80\\/\"}2025-10-09T08:53:20Z";
    format(lines, sizeof lines, "box-signature-primary: %s\nbox-signature-version: 1\n%s", mac_of("SHA256", "p", 1, escaped, BASE64, sig), rest);
    assert_accepted(&fixture, lines, odd);
    format(lines, sizeof lines, "box-signature-primary: %s\nbox-signature-version: 2\n%s", sig, rest);
    assert_refused(&fixture, lines, odd, "a required value is missing or another one");
    format(lines, sizeof lines, "box-signature-secondary: %s\nbox-signature-version: 1\n%s", sig, rest); /* the primary key's in the other header */
    assert_refused(&fixture, lines, odd, "bad signature");
    close_source(&fixture);
}

static void test_mollie_may_send_two_headers(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[200], lines[500];
    add_secret(&fixture, "signing_secret", BW_SLICE("new"));
    open_source(&fixture, "mollie");
    format(lines, sizeof lines, "x-mollie-signature: sha256=%064d\nx-mollie-signature: sha256=%s\n", 0, mac_of("SHA256", "new", 3, body, HEX, sig));
    assert_accepted(&fixture, lines, body);
    close_source(&fixture);
}

/* A key pair of our own: the provider's private half is here. */
static void test_public_keys_verify_and_only_well_formed_ones(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *secret, *signature, *stamp, *between;
        bool is_ed25519, is_hex;
    } rows[] = {
        {"discord", "public_key", "x-signature-ed25519", "x-signature-timestamp", "", true, true},
        {"telnyx", "public_key", "telnyx-signature-ed25519", "telnyx-timestamp", "|", true, false},
        {"sendgrid", "verification_key", "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp", "", false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture = {0};
        unsigned char public[200], sig[200], *at = public;
        size_t public_len = sizeof public, sig_len = sizeof sig;
        char key_text[300], sig_text[300], message[500], lines[900];
        EVP_PKEY *key = rows[i].is_ed25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        if (rows[i].is_ed25519)
            assert_true(EVP_PKEY_get_raw_public_key(key, public, &public_len));
        else
            public_len = (size_t)i2d_PUBKEY(key, &at);
        encode(rows[i].is_hex ? HEX : BASE64, public, public_len, key_text);
        format(message, sizeof message, "1760000000%s%s", rows[i].between, body);
        assert_true(EVP_DigestSignInit_ex(context, NULL, rows[i].is_ed25519 ? NULL : "SHA256", NULL, NULL, key, NULL));
        assert_true(EVP_DigestSign(context, sig, &sig_len, (unsigned char *)message, strlen(message)));
        encode(rows[i].is_hex ? HEX : BASE64, sig, sig_len, sig_text);
        add_secret(&fixture, rows[i].secret, bw_slice_of(key_text));
        open_source(&fixture, rows[i].scheme);
        format(lines, sizeof lines, "%s: %s\n%s: 1760000000\n", rows[i].signature, sig_text, rows[i].stamp);
        assert_accepted(&fixture, lines, body);
        assert_refused(&fixture, lines, other_body, "bad signature");
        format(lines, sizeof lines, "%s: %s\n%s: 1760000001\n", rows[i].signature, sig_text, rows[i].stamp);
        assert_refused(&fixture, lines, body, "bad signature");
        format(lines, sizeof lines, "%s: %s\n%s: 1760000000\n%s: 1760000000\n", rows[i].signature, sig_text, rows[i].stamp, rows[i].stamp);
        assert_refused(&fixture, lines, body, "duplicate header");
        close_source(&fixture);
        /* a key that is none */
        struct fixture broken = {0};
        add_secret(&broken, rows[i].secret, rows[i].is_hex ? BW_SLICE("00ff") : BW_SLICE("AP8="));
        assert_false(try_open(&broken, rows[i].scheme, NULL));
        assert_string_equal(broken.errs.items[0].code, "source.bad_secret");
        close_source(&broken);
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_formula_is_believed_and_nothing_else),
        cmocka_unit_test(test_twilio_signs_the_fields_of_a_form_in_order),
        cmocka_unit_test(test_twilio_puts_the_hash_of_json_into_the_url),
        cmocka_unit_test(test_mandrill_signs_url_and_fields),
        cmocka_unit_test(test_adyen_signs_each_item),
        cmocka_unit_test(test_braintree_signs_the_payload_with_a_derived_key),
        cmocka_unit_test(test_a_form_of_gitea_is_its_payload),
        cmocka_unit_test(test_box_signs_the_escaped_text_too_and_each_key_has_its_header),
        cmocka_unit_test(test_mollie_may_send_two_headers),
        cmocka_unit_test(test_public_keys_verify_and_only_well_formed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
