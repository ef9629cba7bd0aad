/* What people read in one message, for the Control Center: its parts and their text, read in a
 * process of its own that the sandbox holds and that has little memory and time. No mail is opened
 * where it could do harm, and nothing of it is run or fetched. */
#ifndef GATEHOUSE_SCANNER_ENGINE_SHOW_MESSAGE_H
#define GATEHOUSE_SCANNER_ENGINE_SHOW_MESSAGE_H

#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHOW_MESSAGES_MOST 2 /* at a time */
#define SHOW_MESSAGE_SECONDS 20
#define SHOW_MESSAGE_MEMORY (1ull << 30) /* bytes */
#define SHOW_MESSAGE_BYTES (12u << 20)   /* of the message */
#define SHOW_MESSAGE_TEXT (96u << 10)    /* bytes of all texts, unless less is asked for */
#define SHOW_MESSAGE_PARTS 200
#define SHOW_MESSAGE_REPLY (248u << 10) /* bytes; a reply of the control socket has no more */

struct show_message {
    pid_t pid;       /* 0: free */
    int file;        /* the answer is written to it */
    uint64_t number; /* by which who asked is found again */
    int64_t kill_at_ms;
};

/* Starts reading the message of `request`, {"message":BASE64,"text_bytes":N}. ERROR_LIMIT where
 * others are being read, ERROR_INVALID where there is none or it is too large. */
bool show_message_start(struct show_message shows[SHOW_MESSAGES_MOST], const char *state,
                        const json_t *request, uint64_t number, struct error *error);

/* Takes the end of a process. The answer where it was one of these, which then is free again and
 * whose number is in *number: {"ok":true,"subject":S,"from":S,"parts":[{"path","kind","type",
 * "declared_type","name","bytes","attachment","encrypted","damaged","text"}],"text_cut":B,
 * "parts_left_out":N,"limit":S}, or {"ok":false,"error":S}. */
json_t *show_message_ended(struct show_message shows[SHOW_MESSAGES_MOST], const char *state,
                           pid_t pid, int status, uint64_t *number);

/* Kills those that take too long. */
void show_messages_kill_late(const struct show_message shows[SHOW_MESSAGES_MOST]);

#endif
