/* Amazon SNS signs some fields of the body, name and value on a line each, by the type of the message. Each field that the type has must be there,
 * but the subject of a notification. */
#include "base/json_view.h"
#include "source/part.h"
#include <pthread.h>

enum field { MESSAGE, MESSAGE_ID, SUBJECT, SUBSCRIBE_URL, TIMESTAMP, TOKEN, TOPIC_ARN, TYPE, FIELDS };
static const char *const pointers[FIELDS] = {"/Message", "/MessageId", "/Subject", "/SubscribeURL", "/Timestamp", "/Token", "/TopicArn", "/Type"};
static const struct {
    const char *type;
    enum field fields[FIELDS];
    size_t count;
} layouts[] = {
    {"Notification", {MESSAGE, MESSAGE_ID, SUBJECT, TIMESTAMP, TOPIC_ARN, TYPE}, 6},
    {"SubscriptionConfirmation", {MESSAGE, MESSAGE_ID, SUBSCRIBE_URL, TIMESTAMP, TOKEN, TOPIC_ARN, TYPE}, 7},
    {"UnsubscribeConfirmation", {MESSAGE, MESSAGE_ID, SUBSCRIBE_URL, TIMESTAMP, TOKEN, TOPIC_ARN, TYPE}, 7},
};

static struct bw_json_paths *paths;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_paths(void)
{
    struct bw_error err;
    paths = bw_json_paths_new(pointers, FIELDS, &err);
}

static bool append(struct bw_trial *trial, enum field field, const struct bw_json_hit *hit)
{
    if (hit->type == BW_JSON_NONE && field == SUBJECT) return true;
    if (hit->type != BW_JSON_STRING || !bw_trial_has_room(trial, hit->raw.len + 32)) return false;
    bw_buf_append_text(trial->scratch, pointers[field] + 1);
    bw_buf_append_char(trial->scratch, '\n');
    bw_json_unescape_append(trial->scratch, hit->raw);
    bw_buf_append_char(trial->scratch, '\n');
    return !trial->scratch->failed;
}

static bool read(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    struct bw_json_hit hits[FIELDS];
    size_t before = trial->scratch->len, layout = 0;
    (void)argument, (void)form;
    pthread_once(&once, make_paths);
    if (!paths || !bw_json_scan(trial->document, paths, hits, NULL) || hits[TYPE].type != BW_JSON_STRING) return false;
    struct bw_slice type = {hits[TYPE].raw.ptr + 1, hits[TYPE].raw.len - 2};
    while (layout < sizeof layouts / sizeof *layouts && !bw_slice_is(type, layouts[layout].type)) layout++;
    if (layout == sizeof layouts / sizeof *layouts) return false;
    for (size_t i = 0; i < layouts[layout].count; i++)
        if (!append(trial, layouts[layout].fields[i], &hits[layouts[layout].fields[i]])) return false;
    *out = bw_trial_since(trial, before);
    return true;
}

/* Nearly every field of the body; those that it leaves out are its own address and signature. */
const struct bw_part bw_primitive_aws_sns = {.name = "aws-sns", .covers_body = true, .growth = 2, .read = read};
