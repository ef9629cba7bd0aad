/* What the pages share: the session behind a request, and the data of a template in the making. */
#ifndef GATEHOUSE_CONTROLCENTER_PAGES_PAGES_H
#define GATEHOUSE_CONTROLCENTER_PAGES_PAGES_H

#include "common/buffer.h"
#include "controlcenter/pages/application.h"

#include <jansson.h>
#include <stdint.h>

/* --- guard.c: who asks --- */

#define SESSION_COOKIE "__Host-gatehouse"
#define FORM_COOKIE "__Host-gatehouse-form" /* before the sign-in: see the guard */
#define SECRET_TEXT_SIZE 65                 /* 256 bits in hexadecimal, NUL */

struct page_session {
    struct store_session account;
    char token_hash[SECRET_TEXT_SIZE];
};

/* 256 random bits as text. */
void page_secret(char text[SECRET_TEXT_SIZE]);
/* Starts a session for the account and gives the browser its cookie; the session that the request
 * came with ends. `token_hash` (may be NULL) takes the hash of the new one. */
bool page_start_session(struct http_request *request, struct http_response *response,
                        int64_t administrator_id, char token_hash[SECRET_TEXT_SIZE],
                        struct error *error);

/* --- page.c: one answer in the making --- */

struct page {
    struct http_request *request;
    struct http_response *response;
    struct application *application;
    const struct page_session *session; /* NULL before the sign-in */
    json_t *data;                       /* of the template */
    bool failed; /* memory ran out while `data` was filled: the page is not shown */
};

/* `place` is the entry of the navigation that the page belongs to ("domains"), or NULL. Each page
 * ends with page_show, page_redirect or page_fail, all of which release it. */
void page_open(struct page *page, struct http_request *request, struct http_response *response,
               const char *place);
void page_show(struct page *page, const char *template);
/* 303 to a path of this site, with "?done=WORD" for the notice to show there (may be NULL). */
void page_redirect(struct page *page, const char *path, const char *done);
/* `csrf` for a form of somebody who is not signed in, with the cookie that goes with it. */
void page_put_form_secret(struct page *page);
/* The value of a setting, which the caller owns; {} where it is not set. NULL with *error. */
json_t *page_read_setting(struct page *page, const char *key, struct error *error);
/* Checks a setting of the configuration as every scanner would, and stores it in the name of the
 * administrator; the scanners are told. */
bool page_save_setting(struct page *page, const char *key, const json_t *value,
                       struct error *error);
/* Answers 404, 503 or 500 for an error of the store; what people need not see goes to the log. */
void page_fail(struct page *page, const struct error *error);

const char *page_administrator(const struct page *page);

/* A sentence of templates/messages.txt; `arguments` (an object, may be NULL) is taken over. The
 * text is added to `text`, without line end. */
void page_message(struct page *page, const char *key, json_t *arguments, struct buffer *text);

/* --- values.c: filling a template's data --- */

/* Each sets one member of `object`; a value that cannot be made, or an object that is NULL because
 * it could not be made, marks the page as failed. page_put takes `value` over. */
void page_put(struct page *page, json_t *object, const char *name, json_t *value);
void page_put_true(struct page *page, json_t *object, const char *name);
/* NULL and "" leave the member out. */
void page_put_text(struct page *page, json_t *object, const char *name, const char *text);
/* The text that `from` has as its member of that name. */
void page_copy_text(struct page *page, json_t *object, const json_t *from, const char *name);
/* Text, so that a section sees "0" as something: "12,345". */
void page_put_count(struct page *page, json_t *object, const char *name, int64_t count);
/* The same without commas, for what is a name more than a quantity: a version, a process. */
void page_put_number(struct page *page, json_t *object, const char *name, int64_t number);
/* "12.3 MB". */
void page_put_size(struct page *page, json_t *object, const char *name, int64_t bytes);
/* {"iso":"2026-01-31T12:00:00Z","text":"2026-01-31 12:00:00"}; 0 leaves the member out. */
void page_put_time(struct page *page, json_t *object, const char *name, int64_t milliseconds);
/* A word that templates know how to write: {"text":"to be scanned","to_be_scanned":true}, or
 * {"text":S,"other":true} where it is none of `known` (ends with NULL). */
void page_put_word(struct page *page, json_t *object, const char *name, const char *word,
                   const char *const *known);
/* A new object or array as a member, and a new object at the end of an array; borrowed. */
json_t *page_put_object(struct page *page, json_t *object, const char *name);
json_t *page_put_array(struct page *page, json_t *object, const char *name);
json_t *page_add_object(struct page *page, json_t *array);

/* The words of the audit trail; each list ends with NULL. */
extern const char *const page_verdicts[];
extern const char *const page_states[];

/* --- form.c: what was typed, and what is wrong with it --- */

/* Templates see values.FIELD, error.FIELD (a sentence), errors (an array of {field,message}), and
 * wrong where there is one. */
struct form {
    struct page *page;
    json_t *values;
    json_t *error;
    json_t *errors;
    bool wrong;
};

void form_open(struct form *form, struct page *page);
/* What the form is for where it saves nothing, so that the notice of its errors says what did not
 * happen: "search" or "action". Templates see purpose.WORD. */
void form_set_purpose(struct form *form, const char *purpose);
/* The value of a field as it was sent, without the spaces around it, kept to be shown again; ""
 * where it is missing. Borrowed. */
const char *form_take(struct form *form, const char *field);
const char *form_take_lines(struct form *form, const char *field);
const char *form_take_query(struct form *form, const char *field);
/* The value to begin with. */
void form_set(struct form *form, const char *field, const char *text);
/* Takes a field that is one of `words` (ends with NULL; the first one where it is missing), and
 * marks it for templates as selected.FIELD.WORD. NULL after refusing anything else. */
const char *form_take_word(struct form *form, const char *field, const char *const *words);
/* Marks the word to begin with. */
void form_select(struct form *form, const char *field, const char *word);
/* Refuses a field with a sentence of templates/messages.txt; only its first error is kept.
 * `arguments` is taken over. */
void form_refuse(struct form *form, const char *field, const char *key, json_t *arguments);
/* The same with a sentence that another part made; where `line` > 0 it names the line. */
void form_refuse_reason(struct form *form, const char *field, int line, const char *reason);

/* Walks the lines of a text area: each line that is not empty, without the spaces around it, is
 * copied to `line`, cut to `size`. Returns where to go on, or NULL at the end. */
const char *form_next_line(const char *text, char *line, size_t size);

#endif
