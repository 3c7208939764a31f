/* message.h: the input of mail/send → an envelope and a message by RFC 5322 and MIME. Pure; any thread. */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H
#include "text.h"
#include <jansson.h>

struct mail_address {
    char *name;    /* NULL: none */
    char *address; /* local@domain, in ASCII */
};
struct mail_message {
    struct mail_address from;
    char **recipients; /* of to, cc and bcc, each address once */
    size_t recipient_count;
    char id[200]; /* of the key: the same each time that the step is tried */
    struct text text;
};
/* sender: what the configuration says, or NULL. key: [a-z0-9_]. False: error says which input is wrong. mail_message_free() in either case. */
bool mail_message_make(struct mail_message *message, const json_t *input, const char *sender, const char *key, char *error, size_t error_size);
void mail_message_free(struct mail_message *message);
#endif
