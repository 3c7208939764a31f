/* dialogue.h: JSON-RPC 2.0 with a program over its standard streams, a message a line: each of ours in turn, the next one when the program has
 * answered. It ends with the last answer, or with the first that is an error. What the program asks itself is refused; what it tells is not heard. */
#ifndef EXEC_DIALOGUE_H
#define EXEC_DIALOGUE_H
#include "shared/text.h"
#include <jansson.h>

struct exec_dialogue {
    json_t *messages, *answers;
    size_t next;              /* message */
    json_t *awaited;          /* the id of a request; NULL: of none */
    struct text line, outbox; /* what is read and what is to be written */
    size_t written, most;     /* bytes of the outbox; of a line and of all answers */
    bool is_over, is_too_large;
};
/* messages: a list of objects; most: so many bytes are taken from the program. False: no memory. */
bool exec_dialogue_begin(struct exec_dialogue *dialogue, const json_t *messages, size_t most);
void exec_dialogue_read(struct exec_dialogue *dialogue, const char *bytes, size_t len);
void exec_dialogue_free(struct exec_dialogue *dialogue);
#endif
