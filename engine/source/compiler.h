/* compiler.h: what the parts of the scheme compiler share. A fault is added to `errs` with the scheme file's line and column and the compiler goes
 * on, so that one go finds all; nothing is guessed: what a scheme does not say rightly must not weaken what it verifies. One thread. */
#ifndef BW_SOURCE_COMPILER_H
#define BW_SOURCE_COMPILER_H
#include "source/program.h"

struct bw_compiler {
    struct bw_program *program;
    const struct bw_scheme *scheme;
    const struct bw_source_config *config;
    struct bw_errors *errs;
    bool is_in_handshake; /* a secret that is named only there is optional */
};
/* "scheme NAME: WHAT 'WORD'"; at NULL: no place, the caller of the compiler knows a better one. */
void bw_compiler_complain(struct bw_compiler *compiler, const struct bw_yaml_node *at, const char *hint, const char *what, const char *word);
/* The index of `word` in `known`; 0 after a complaint ("did you mean"). */
int bw_compiler_choose(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice word, const char *const *known, size_t count,
                       const char *what);

/* compile_ref.c: texts, with {NAME} replaced by the source's option or the scheme's default, and the value references in them */
struct bw_slice bw_compiler_text_of(struct bw_compiler *compiler, const struct bw_yaml_node *node);
struct bw_slice bw_compiler_text(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise);
bool bw_compiler_flag(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, bool otherwise);
void bw_compiler_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref);
/* Where plain text would make no sense: `text` must name a part of the request, in every alternative. */
void bw_compiler_request_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref);
size_t bw_compiler_refs(struct bw_compiler *compiler, const struct bw_yaml_node *list, struct bw_ref *out);
/* One such reference, or a list of at most `capacity`. */
size_t bw_compiler_request_refs(struct bw_compiler *compiler, const struct bw_yaml_node *node, struct bw_ref *out, size_t capacity);
size_t bw_compiler_override(struct bw_compiler *compiler, char **texts, size_t count, struct bw_ref *out); /* refs of the source instead */
void bw_compiler_secret(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice name, bool is_optional);
int bw_compiler_pointer(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice pointer, bool is_of_item);
/* compile_signature.c: alg, key, parse, sig, msg, time, require, forbid */
void bw_compiler_signature(struct bw_compiler *compiler);
int64_t bw_compiler_seconds(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise);
struct bw_shape bw_compiler_shape(struct bw_compiler *compiler, const struct bw_yaml_node *map); /* only, beyond, at_least, at_most */
/* compile_others.c: keys, digest, jwt */
void bw_compiler_keys_of_others(struct bw_compiler *compiler);
/* signed.c: whatever alternative of it is read, its bytes are among the signed ones */
bool bw_program_signs(const struct bw_program *program, const struct bw_ref *ref);
bool bw_ref_same(const struct bw_ref *a, const struct bw_ref *b);
/* compile_handshake.c */
void bw_compiler_handshake(struct bw_compiler *compiler, const struct bw_yaml_node *node, struct bw_handshake *handshake);
/* compile_keys.c: unknown keys at every level, and maps that are none */
void bw_compiler_check_keys(struct bw_compiler *compiler);

bool bw_ref_reads_json(const struct bw_program *program, const struct bw_ref *ref);
#endif
