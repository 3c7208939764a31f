/* sample.h: values that a map of fields (base/schema.h) takes, and some that it does not, for whoever tries an action without knowing what it is for.
 */
#ifndef BW_TRIAL_SAMPLE_H
#define BW_TRIAL_SAMPLE_H
#include "base/json.h"

json_t *bw_sample_input(const json_t *fields);  /* what is required, plainly; new reference */
json_t *bw_sample_edges(const json_t *fields);  /* array of inputs: each field once at each of its edges */
json_t *bw_sample_faults(const json_t *fields); /* array of {input, what}: none of them fits */
#endif
