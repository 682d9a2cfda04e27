// ssn-guard in C: the rule of ../README.md, once as a pattern that the host looks for (e-mail) and once by hand (SSN).
#include "bindings/text_policy.h"

#include <stdlib.h>
#include <string.h>

// The names that wit-bindgen gives are long; these are the ones used here.
typedef text_policy_string_t string;
typedef exports_portcullis_policy_text_window_t window_t;
typedef exports_portcullis_policy_text_hit_t hit_t;
typedef portcullis_policy_types_edit_t edit_t;
typedef portcullis_policy_types_decision_t decision_t;

// The bindings ask for an object file with the component's type; `build` adds the type with wasm-tools instead, so that
// no binary file has to be kept with the sources.
void __component_type_object_force_link_text_policy(void) {}

enum { SSN_LENGTH = 11 };
static const char SSN_SHAPE[] = "ddd-dd-dddd";

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static bool is_word(uint8_t c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Whether text[at..end] is the beginning of an SSN, or all of one.
static bool has_shape(const string *text, size_t at, size_t end) {
  for (size_t i = 0; at + i < end; i++) {
    uint8_t c = text->ptr[at + i];
    if (SSN_SHAPE[i] == 'd' ? !is_digit(c) : c != '-') return false;
  }
  return true;
}

// Whether no word character stands directly before pending[at].
static bool may_begin(const window_t *window, size_t at) {
  if (at > 0) return !is_word(window->pending.ptr[at - 1]);
  return window->before.len == 0 || !is_word(window->before.ptr[window->before.len - 1]);
}

// Whether an SSN is at pending[at] for certain: complete, and nothing that follows can make a longer word of it.
static bool is_ssn(const window_t *window, size_t at) {
  size_t end = at + SSN_LENGTH;
  if (end > window->pending.len || !may_begin(window, at) || !has_shape(&window->pending, at, end)) return false;
  return end < window->pending.len ? !is_word(window->pending.ptr[end]) : window->last;
}

// How much of the end may be the beginning of an SSN; a complete one at the very end still waits for what follows.
static uint32_t undecided(const window_t *window) {
  if (window->last) return 0;
  size_t end = window->pending.len;
  for (size_t length = end < SSN_LENGTH ? end : SSN_LENGTH; length > 0; length--) {
    if (may_begin(window, end - length) && has_shape(&window->pending, end - length, end)) return (uint32_t)length;
  }
  return 0;
}

// What is returned is freed by the bindings after the host has read it, so every string is a copy.
static void add_edit(decision_t *decision, size_t start, size_t end, const char *label, const char *reason) {
  edit_t *edit = &decision->edits.ptr[decision->edits.len++];
  edit->start = (uint32_t)start;
  edit->end = (uint32_t)end;
  edit->by.tag = PORTCULLIS_POLICY_TYPES_SUBSTITUTE_LITERAL;
  text_policy_string_dup(&edit->by.val.literal, label);
  text_policy_string_dup(&edit->reason, reason);
}

bool exports_portcullis_policy_text_on_text(window_t *window, decision_t *ret, string *err) {
  (void)err;
  size_t most = window->hits.len + window->pending.len / SSN_LENGTH;
  memset(ret, 0, sizeof *ret);
  ret->verdict.tag = PORTCULLIS_POLICY_TYPES_VERDICT_ALLOW;
  if (most > 0) {
    ret->edits.ptr = calloc(most, sizeof(edit_t));
    if (ret->edits.ptr == NULL) abort(); // a trap is a failure, and a failure is no allow
  }
  size_t hit = 0;
  for (size_t at = 0; at < window->pending.len;) {
    const hit_t *email = hit < window->hits.len ? &window->hits.ptr[hit] : NULL;
    if (email != NULL && email->start <= at) {
      add_edit(ret, email->start, email->end, "[EMAIL]", "pii.email");
      at = email->end;
      hit++;
    } else if (is_ssn(window, at)) {
      add_edit(ret, at, at + SSN_LENGTH, "[SSN]", "pii.ssn");
      at += SSN_LENGTH;
    } else {
      at++;
    }
  }
  ret->hold_back = undecided(window);
  exports_portcullis_policy_text_window_free(window);
  return true;
}

void exports_portcullis_policy_policy_describe(exports_portcullis_policy_policy_metadata_t *ret) {
  memset(ret, 0, sizeof *ret);
  text_policy_string_dup(&ret->name, "ssn-guard");
  text_policy_string_dup(&ret->version, "1.0.0");
  text_policy_string_dup(&ret->summary, "masks US social security numbers and e-mail addresses");
}

bool exports_portcullis_policy_policy_configure(string *settings, exports_portcullis_policy_policy_plan_t *ret,
                                                exports_portcullis_policy_policy_list_problem_t *err) {
  (void)err;
  text_policy_string_free(settings); // there is nothing to set
  memset(ret, 0, sizeof *ret);
  ret->offsets = EXPORTS_PORTCULLIS_POLICY_POLICY_OFFSET_UNIT_UTF8;
  ret->look_behind = 1;
  ret->skip = EXPORTS_PORTCULLIS_POLICY_POLICY_HOOKS_OPEN;
  ret->patterns.ptr = calloc(1, sizeof *ret->patterns.ptr);
  if (ret->patterns.ptr == NULL) abort();
  ret->patterns.len = 1;
  text_policy_string_dup(&ret->patterns.ptr->id, "email");
  text_policy_string_dup(&ret->patterns.ptr->regex, "[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\\.[A-Za-z]{2,}");
  ret->patterns.ptr->max_length = 254;
  return true;
}

bool exports_portcullis_policy_policy_open(exports_portcullis_policy_policy_exchange_t *exchange,
                                           exports_portcullis_policy_policy_verdict_t *ret, string *err) {
  (void)err;
  exports_portcullis_policy_policy_exchange_free(exchange);
  memset(ret, 0, sizeof *ret);
  ret->tag = PORTCULLIS_POLICY_TYPES_VERDICT_ALLOW;
  return true;
}
