/* part.h: what the computed values share. Results stand in the scratch of the trial. */
#ifndef BW_SOURCE_PART_H
#define BW_SOURCE_PART_H
#include "source/program.h"

bool bw_part_text(struct bw_trial *trial, struct bw_slice text, struct bw_slice *out); /* false: no room */
bool bw_part_hex(struct bw_trial *trial, const unsigned char *bytes, size_t len, struct bw_slice *out);
/* Appends name and value of each field of the form, decoded, by name and value, the same pair once only; false: it is no form, or has too many. */
bool bw_form_pairs_append(struct bw_trial *trial);

/* form_json.c: the form as a JSON object; false: it is broken, no UTF-8, or has too many fields */
bool bw_form_to_json(struct bw_trial *trial, struct bw_slice *out);

/* primitive_*.c: what one provider alone signs */
extern const struct bw_part bw_primitive_twilio, bw_primitive_contentful, bw_primitive_aws_sns, bw_primitive_lark;
#endif
