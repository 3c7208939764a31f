/* Plain scalars of the YAML 1.2 core schema. What YAML 1.1 also typed (yes, no, on, off, 0777 as octal, 1_000, 12:30:45, dates) is
 * text here, or in the case of 012 the decimal number 12, as 1.2 says. */
#include "base/yaml_parts.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

static bool is_one_of(struct bw_slice text, const char *const *words)
{
    for (; *words; words++)
        if (bw_slice_is(text, *words)) return true;
    return false;
}

static const char *skip_digits(const char *at)
{
    while (*at >= '0' && *at <= '9') at++;
    return at;
}

/* [-+]?[0-9]+ */
static bool is_decimal(const char *at)
{
    if (*at == '-' || *at == '+') at++;
    const char *end = skip_digits(at);
    return end > at && *end == '\0';
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_real(const char *at)
{
    if (*at == '-' || *at == '+') at++;
    const char *whole = skip_digits(at), *end = whole;
    if (*whole == '.') {
        end = skip_digits(whole + 1);
        if (whole == at && end == whole + 1) return false; /* a lone dot */
    } else if (whole == at) {
        return false;
    }
    if (*end == 'e' || *end == 'E') {
        end++;
        if (*end == '-' || *end == '+') end++;
        const char *exponent = end;
        end = skip_digits(exponent);
        if (end == exponent) return false;
    }
    return *end == '\0';
}

/* 0o[0-7]+ or 0x[0-9a-fA-F]+: 8, 16, or 0 for neither */
static int radix_of(const char *text)
{
    if (text[0] != '0' || (text[1] != 'o' && text[1] != 'x') || text[2] == '\0') return 0;
    const char *digits = text[1] == 'o' ? "01234567" : "0123456789abcdefABCDEF";
    return text[2 + strspn(text + 2, digits)] != '\0' ? 0 : text[1] == 'o' ? 8 : 16;
}

static bool refuse(const struct bw_yaml_node *node, const char *why, struct bw_error *err)
{
    int shown = node->text.len > 64 ? 64 : (int)node->text.len;
    bw_error_set(err, "yaml.number", "%.*s %s", shown, node->text.ptr, why);
    bw_error_hint(err, "quote it if it is meant as text");
    return false;
}

static bool set_integer(struct bw_yaml_node *node, const char *digits, int radix, struct bw_error *err)
{
    errno = 0;
    long long value = strtoll(digits, NULL, radix);
    if (errno == ERANGE) return refuse(node, "does not fit a 64-bit integer", err);
    node->kind = BW_YAML_INT;
    node->integer = value;
    return true;
}

static bool set_real(struct bw_yaml_node *node, struct bw_error *err)
{
    double value = strtod(node->text.ptr, NULL);
    if (!isfinite(value)) return refuse(node, "does not fit a 64-bit floating-point number", err);
    node->kind = BW_YAML_REAL;
    node->real = value;
    return true;
}

bool bw_yaml_resolve_plain(struct bw_yaml_node *node, struct bw_error *err)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const endless[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN", NULL};
    const char *text = node->text.ptr; /* no NUL inside: bw_yaml_check_bytes() has refused it */
    int radix;
    node->kind = BW_YAML_STRING;
    if (is_one_of(node->text, nulls)) {
        node->kind = BW_YAML_NULL;
    } else if (is_one_of(node->text, trues) || is_one_of(node->text, falses)) {
        node->kind = BW_YAML_BOOL;
        node->boolean = is_one_of(node->text, trues);
    } else if (is_decimal(text)) {
        return set_integer(node, text, 10, err);
    } else if ((radix = radix_of(text))) {
        return set_integer(node, text + 2, radix, err);
    } else if (is_real(text)) {
        return set_real(node, err);
    } else if (is_one_of(node->text, endless)) {
        return refuse(node, "is no number that JSON can carry", err);
    }
    return true;
}
