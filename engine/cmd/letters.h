/* letters.h: `bellwire runs resume|replay|discard`: what a person does about runs that failed. */
#ifndef BW_CMD_LETTERS_H
#define BW_CMD_LETTERS_H
#include "cmd/command.h"
#include "cmd/selection.h"
#include "store/letters.h"

const char *bw_letters_actor(char out[64]);                           /* who asks, for the audit */
int bw_letters_main(enum bw_letter_verb verb, int argc, char **argv); /* argv[0] is the verb */
#endif
