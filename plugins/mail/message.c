#include "message.h"
#include "address.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define RECIPIENTS_MAX 1000

struct making {
    struct mail_message *message;
    const json_t *input;
    const char *key;
    unsigned boundaries;
    char *error;
    size_t error_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct making *making, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(making->error, making->error_size, format, arguments);
    va_end(arguments);
    return false;
}

/* ---- people ---- */

static bool add_recipient(const struct making *making, const char *address)
{
    struct mail_message *message = making->message;
    for (size_t i = 0; i < message->recipient_count; i++)
        if (!strcasecmp(message->recipients[i], address)) return true;
    if (message->recipient_count == RECIPIENTS_MAX) return refuse(making, "a mail has at most %d recipients", RECIPIENTS_MAX);
    char *copy = strdup(address), **grown = realloc(message->recipients, (message->recipient_count + 1) * sizeof *grown);
    if (grown) message->recipients = grown;
    if (!grown || !copy) {
        free(copy);
        return refuse(making, "out of memory");
    }
    message->recipients[message->recipient_count++] = copy;
    return true;
}

static void append_address(struct text *text, const struct mail_address *address, size_t *used)
{
    size_t len = strlen(address->address);
    if (address->name) {
        *used = mail_append_phrase(text, address->name, *used);
        mail_append_text(text, *used + len + 3 > 76 ? "\r\n <" : " <");
        *used = *used + len + 3 > 76 ? len + 3 : *used + len + 3;
        mail_append_text(text, address->address);
        mail_append_text(text, ">");
    } else {
        mail_append_text(text, address->address);
        *used += len;
    }
}

/* header NULL: they are told in the envelope only. */
static bool add_people(const struct making *making, const char *input, const char *header, bool are_recipients)
{
    const json_t *list = json_object_get(making->input, input);
    struct text *text = &making->message->text;
    size_t index, used = header ? strlen(header) + 2 : 0;
    json_t *item;
    if (!json_array_size(list)) return true;
    if (header) mail_append_text(text, header);
    if (header) mail_append_text(text, ": ");
    json_array_foreach(list, index, item)
    {
        struct mail_address address;
        const char *why;
        bool is_good = mail_address_read(&address, json_string_value(item), json_string_length(item), &why);
        if (!is_good) refuse(making, "%s: '%.200s': %s", input, address.address ? address.address : "", why);
        if (is_good && are_recipients) is_good = add_recipient(making, address.address);
        if (is_good && header) {
            if (index) mail_append_text(text, ",\r\n ");
            if (index) used = 1;
            append_address(text, &address, &used);
        }
        mail_address_free(&address);
        if (!is_good) return false;
    }
    if (header) mail_append_text(text, "\r\n");
    return true;
}

static bool add_sender(const struct making *making, const char *sender)
{
    const json_t *from = json_object_get(making->input, "from");
    const char *text = from ? json_string_value(from) : sender, *why;
    size_t len = from ? json_string_length(from) : sender ? strlen(sender) : 0, used = strlen("From: ");
    if (!text) return refuse(making, "from is missing: write it here, or once under configure: {mail: {from: …}}");
    if (!mail_address_read(&making->message->from, text, len, &why)) return refuse(making, "from: '%.200s': %s", text, why);
    mail_append_text(&making->message->text, "From: ");
    append_address(&making->message->text, &making->message->from, &used);
    mail_append_text(&making->message->text, "\r\n");
    return true;
}

/* ---- other headers ---- */

static void add_date(struct text *text)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm at;
    char line[80];
    gmtime_r(&now, &at);
    snprintf(line, sizeof line, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[at.tm_wday % 7], at.tm_mday, months[at.tm_mon % 12],
             at.tm_year + 1900, at.tm_hour, at.tm_min, at.tm_sec);
    mail_append_text(text, line);
}

static bool is_own(const char *name)
{
    static const char *const own[] = {"from",    "sender", "to",         "cc",       "bcc",         "reply-to",
                                      "subject", "date",   "message-id", "received", "return-path", "mime-version"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcasecmp(own[i], name)) return true;
    return !strncasecmp(name, "content-", 8);
}

static bool is_field_name(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return len && len <= 60 && !name[len];
}

static bool add_headers(const struct making *making)
{
    const json_t *headers = json_object_get(making->input, "headers");
    bool is_automatic = true;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)headers, name, value)
    {
        const char *text = json_string_value(value);
        if (!is_field_name(name)) return refuse(making, "'%.100s' is no name for a header", name);
        if (is_own(name)) return refuse(making, "the header %s is not written by hand: inputs say it", name);
        if (!text || mail_has_control(text, json_string_length(value))) return refuse(making, "header %s must be text without line breaks", name);
        if (!strcasecmp(name, "auto-submitted")) is_automatic = false;
        mail_append_field(&making->message->text, name, text);
    }
    if (is_automatic) mail_append_text(&making->message->text, "Auto-Submitted: auto-generated\r\n"); /* RFC 3834: no out-of-office answers */
    return true;
}

static bool add_subject(const struct making *making)
{
    const json_t *subject = json_object_get(making->input, "subject");
    if (mail_has_control(json_string_value(subject), json_string_length(subject))) return refuse(making, "subject must be text without line breaks");
    mail_append_field(&making->message->text, "Subject", json_string_value(subject));
    return true;
}

/* ---- bodies ---- */

/* "=_" is in nothing that is quoted-printable or base64: no boundary can be in what it bounds (RFC 2045, 6.7). */
static void boundary(struct making *making, char *out, size_t size)
{
    snprintf(out, size, "=_%.40s_%u", making->key, ++making->boundaries);
}

static void begin_multipart(struct making *making, const char *kind, char *mark, size_t size)
{
    char line[200];
    boundary(making, mark, size);
    snprintf(line, sizeof line, "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n", kind, mark);
    mail_append_text(&making->message->text, line);
}

static void part(struct text *text, const char *mark, bool is_end)
{
    mail_append_text(text, "\r\n--"); /* the line's end belongs to the boundary (RFC 2046, 5.1.1) */
    mail_append_text(text, mark);
    mail_append_text(text, is_end ? "--\r\n" : "\r\n");
}

static void add_text(struct text *text, const json_t *body, const char *type)
{
    mail_append_text(text, "Content-Type: ");
    mail_append_text(text, type);
    mail_append_text(text, "; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
    mail_append_quoted_printable(text, json_string_value(body), json_string_length(body));
}

static void add_body(struct making *making)
{
    const json_t *plain = json_object_get(making->input, "text"), *html = json_object_get(making->input, "html");
    struct text *text = &making->message->text;
    char mark[80];
    if (!html || !plain) {
        json_t *none = json_string("");
        add_text(text, html ? html : plain ? plain : none, html ? "text/html" : "text/plain");
        json_decref(none);
        return;
    }
    begin_multipart(making, "alternative", mark, sizeof mark); /* the best one last (RFC 2046, 5.1.4) */
    part(text, mark, false);
    add_text(text, plain, "text/plain");
    part(text, mark, false);
    add_text(text, html, "text/html");
    part(text, mark, true);
}

static bool is_media_type(const char *type)
{
    static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&^_.+-";
    size_t main_len = strspn(type, token), sub_len = main_len && type[main_len] == '/' ? strspn(type + main_len + 1, token) : 0;
    return sub_len && !type[main_len + 1 + sub_len] && main_len + sub_len < 120;
}

static bool add_attachment(const struct making *making, const json_t *from, size_t index)
{
    const json_t *name = json_object_get(from, "name"), *data = json_object_get(from, "data");
    const char *type = json_string_value(json_object_get(from, "type"));
    struct text *text = &making->message->text;
    if (!type) type = "application/octet-stream";
    if (!json_string_length(name) || mail_has_control(json_string_value(name), json_string_length(name)))
        return refuse(making, "attachment %zu needs a name without line breaks", index + 1);
    if (!is_media_type(type) || !strncasecmp(type, "multipart/", 10) || !strncasecmp(type, "message/", 8))
        return refuse(making, "attachment %zu: '%.100s' is no type like application/pdf", index + 1, type);
    mail_append_text(text, "Content-Type: ");
    mail_append_text(text, type);
    mail_append_parameter(text, "name", json_string_value(name));
    mail_append_text(text, "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment");
    mail_append_parameter(text, "filename", json_string_value(name));
    mail_append_text(text, "\r\n\r\n");
    return mail_append_base64(text, json_string_value(data), json_string_length(data)) ||
           refuse(making, "attachment %zu: data is no base64", index + 1);
}

static bool add_content(struct making *making)
{
    const json_t *attachments = json_object_get(making->input, "attachments");
    struct text *text = &making->message->text;
    json_t *attachment;
    size_t index;
    char mark[80];
    mail_append_text(text, "MIME-Version: 1.0\r\n");
    if (!json_array_size(attachments)) {
        add_body(making);
        if (text->bytes && text->len && text->bytes[text->len - 1] != '\n') mail_append_text(text, "\r\n");
        return true;
    }
    begin_multipart(making, "mixed", mark, sizeof mark);
    part(text, mark, false);
    add_body(making);
    json_array_foreach(attachments, index, attachment)
    {
        part(text, mark, false);
        if (!add_attachment(making, attachment, index)) return false;
    }
    part(text, mark, true);
    return true;
}

bool mail_message_make(struct mail_message *message, const json_t *input, const char *sender, const char *key, char *error, size_t error_size)
{
    struct making making = {.message = message, .input = input, .key = key, .error = error, .error_size = error_size};
    *message = (struct mail_message){0};
    add_date(&message->text);
    if (!add_sender(&making, sender) || !add_people(&making, "reply_to", "Reply-To", false) || !add_people(&making, "to", "To", true) ||
        !add_people(&making, "cc", "Cc", true) || !add_people(&making, "bcc", NULL, true))
        return false;
    if (!message->recipient_count) return refuse(&making, "there is nobody in to, cc or bcc");
    snprintf(message->id, sizeof message->id, "<%.60s@%.120s>", key, strrchr(message->from.address, '@') + 1);
    mail_append_text(&message->text, "Message-ID: ");
    mail_append_text(&message->text, message->id);
    mail_append_text(&message->text, "\r\n");
    if (!add_subject(&making) || !add_headers(&making) || !add_content(&making)) return false;
    return !message->text.has_failed || refuse(&making, "out of memory");
}

void mail_message_free(struct mail_message *message)
{
    mail_address_free(&message->from);
    for (size_t i = 0; i < message->recipient_count; i++) free(message->recipients[i]);
    free(message->recipients);
    text_free(&message->text);
}
