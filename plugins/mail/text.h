/* text.h: what mail makes of texts: quoted-printable, base64, encoded words, parameters. Pure; any thread. */
#ifndef MAIL_TEXT_H
#define MAIL_TEXT_H
#include "shared/text.h"

void mail_append_text(struct text *text, const char *from);

/* RFC 2045 6.7: lines of any length and end become lines of at most 76 characters with CRLF between them. Nothing is added at the end. */
void mail_append_quoted_printable(struct text *text, const char *from, size_t len);
/* Base64 is copied in lines of 76; false: it is none. */
bool mail_append_base64(struct text *text, const char *from, size_t len);
/* A header field with text for people: folded, and as encoded words (RFC 2047) where it is not ASCII. value holds no control characters. */
void mail_append_field(struct text *text, const char *name, const char *value);
/* The same of a display name, at the end of a line that has `used` characters. Returns how many the last line has then. */
size_t mail_append_phrase(struct text *text, const char *value, size_t used);
/* `; name="value"`, or as RFC 2231 says where it is not ASCII, on lines of their own. */
void mail_append_parameter(struct text *text, const char *name, const char *value);
bool mail_is_ascii(const char *text);
bool mail_has_control(const char *text, size_t len); /* CR, LF, NUL and the rest, but tab: none of them belongs into a header */
#endif
