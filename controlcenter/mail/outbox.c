#include "controlcenter/mail/outbox.h"

#include "common/buffer.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "common/timestamp.h"
#include "controlcenter/store/messages.h"
#include "controlcenter/store/outbox.h"
#include "controlcenter/store/requests.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SENDERS 2       /* threads that submit mail */
#define TAKEN_AT_ONCE 4 /* each within the lease of all */
#define LOOK_MS 5000    /* for what is due again */
#define WAIT_MS 500     /* how soon the end is noticed */
#define ASK_MS 20000
#define PIECE_BYTES (1u << 20) /* as the mta takes them */
#define FIRST_PAUSE_SECONDS 5
#define LAST_PAUSE_SECONDS 900
#define WANTED_ATTEMPTS 3 /* by the scanner that should send it, before any other is as good */

struct outbox {
    struct store *store;
    struct fleet *fleet;
    atomic_bool stopping;
    pthread_t senders[SENDERS];
    size_t started;
};

/* One mail on its way to one scanner. */
struct submission {
    struct outbox *outbox;
    const struct store_outbox_mail *mail;
    const char *scanner_id;
    struct buffer piece; /* that is not sent yet */
    int64_t size;        /* sent so far */
    struct error error;
    bool failed;
};

/* --- asking the scanner --- */

static json_t *ask(struct submission *submission, json_t *request, struct error *error)
{
    if (!request) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    json_t *reply =
        fleet_ask(submission->outbox->fleet, submission->scanner_id, "mta", request, ASK_MS, error);
    json_decref(request);
    return reply;
}

static bool begin(struct submission *submission, bool *known, struct error *error)
{
    const struct store_outbox_mail *mail = submission->mail;
    cleanup_json json_t *reply =
        ask(submission,
            json_pack("{s:s,s:s,s:s,s:O,s:s,s:s,s:s,s:s,s:s}", "op", "submit_begin", "id", mail->id,
                      "sender", mail->sender, "recipients", mail->recipients, "direction",
                      mail->inbound ? "inbound" : "outbound", "header", mail->header, "route",
                      mail->route, "reason", mail->reason, "administrator", mail->administrator),
            error);
    *known = json_is_true(json_object_get(reply, "known"));
    return reply != NULL;
}

static json_t *piece_request(const struct submission *submission)
{
    const struct buffer *piece = &submission->piece;
    size_t size = sodium_base64_encoded_len(piece->length, sodium_base64_VARIANT_ORIGINAL);
    cleanup_free char *text = malloc(size);
    if (!text)
        return NULL;
    sodium_bin2base64(text, size, (const unsigned char *)buffer_text(piece), piece->length,
                      sodium_base64_VARIANT_ORIGINAL);
    return json_pack("{s:s,s:s,s:I,s:s}", "op", "submit_data", "id", submission->mail->id, "offset",
                     (json_int_t)submission->size, "data", text);
}

static bool send_piece(struct submission *submission, struct error *error)
{
    if (submission->piece.length == 0)
        return true;
    cleanup_json json_t *reply = ask(submission, piece_request(submission), error);
    if (!reply || !store_outbox_renew(submission->outbox->store, submission->mail->id, error))
        return false;
    submission->size += (int64_t)submission->piece.length;
    buffer_clear(&submission->piece);
    return true;
}

/* For store_message_read. */
static bool take_part(void *argument, const void *data, size_t length)
{
    struct submission *submission = argument;
    const char *from = data;
    while (length > 0 && !submission->failed) {
        size_t room = PIECE_BYTES - submission->piece.length;
        size_t count = length < room ? length : room;
        if (!buffer_add(&submission->piece, from, count))
            submission->failed =
                !error_set(&submission->error, ERROR_INTERNAL, NULL, "out of memory");
        else if (submission->piece.length == PIECE_BYTES)
            submission->failed = !send_piece(submission, &submission->error);
        from += count;
        length -= count;
    }
    return !submission->failed;
}

static bool send_content(struct submission *submission, struct error *error)
{
    const struct store_outbox_mail *mail = submission->mail;
    if (!*mail->message_id)
        take_part(submission, mail->message, mail->message_length);
    else if (!store_message_read(submission->outbox->store, mail->message_id, take_part, submission,
                                 error))
        return false;
    if (!submission->failed)
        return send_piece(submission, error);
    *error = submission->error;
    return false;
}

/* From the binding on no other scanner is asked: this one may have stored the mail even where its
 * answer does not come. */
static bool end(struct submission *submission, struct error *error)
{
    const struct store_outbox_mail *mail = submission->mail;
    if (!store_outbox_bind(submission->outbox->store, mail->id, submission->scanner_id, error))
        return false;
    cleanup_json json_t *reply = ask(submission,
                                     json_pack("{s:s,s:s,s:I}", "op", "submit_end", "id", mail->id,
                                               "size", (json_int_t)submission->size),
                                     error);
    return reply != NULL;
}

static bool submit(struct outbox *outbox, const struct store_outbox_mail *mail,
                   const char *scanner_id, struct error *error)
{
    struct submission submission = {.outbox = outbox, .mail = mail, .scanner_id = scanner_id};
    bool known;
    bool ok = begin(&submission, &known, error) &&
              (known || (send_content(&submission, error) && end(&submission, error)));
    buffer_free(&submission.piece);
    return ok;
}

/* --- which scanner --- */

static bool is_healthy(const struct store_scanner *scanner)
{
    return scanner->seen_at > timestamp_now_ms() - FLEET_SILENT_MS &&
           json_is_object(json_object_get(scanner->status, "mta"));
}

static const struct store_scanner *find(const struct store_scanner *scanners, size_t count,
                                        const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(scanners[i].id, id) == 0)
            return &scanners[i];
    return NULL;
}

/* The one that should send it, where it can; else any, not always the same. */
static const struct store_scanner *choose(const struct store_outbox_mail *mail,
                                          const struct store_scanner *scanners, size_t count)
{
    const struct store_scanner *wanted = find(scanners, count, mail->scanner_id);
    if (wanted && is_healthy(wanted) && mail->attempts <= WANTED_ATTEMPTS)
        return wanted;
    size_t start = count ? randombytes_uniform((uint32_t)count) : 0;
    for (size_t i = 0; i < count; i++)
        if (is_healthy(&scanners[(start + i) % count]))
            return &scanners[(start + i) % count];
    return NULL;
}

static bool choose_scanner(struct outbox *outbox, const struct store_outbox_mail *mail, char id[37],
                           struct error *error)
{
    struct store_scanner *scanners = NULL;
    size_t count = 0;
    if (!store_scanner_list(outbox->store, &scanners, &count, error))
        return false;
    bool bound = *mail->bound_to && find(scanners, count, mail->bound_to);
    const struct store_scanner *chosen = bound ? NULL : choose(mail, scanners, count);
    if (bound || chosen)
        memcpy(id, bound ? mail->bound_to : chosen->id, 37);
    store_scanner_list_free(scanners, count);
    if (!bound && !chosen)
        return error_set(error, ERROR_UNAVAILABLE, NULL, "no scanner is connected that works");
    /* The scanner that may have it was removed from the fleet. */
    return bound || !*mail->bound_to || store_outbox_bind(outbox->store, mail->id, "", error);
}

/* --- the outbox --- */

static int pause_after(int attempts)
{
    int pause = FIRST_PAUSE_SECONDS;
    for (int i = 1; i < attempts && pause < LAST_PAUSE_SECONDS; i++)
        pause *= 2;
    return pause < LAST_PAUSE_SECONDS ? pause : LAST_PAUSE_SECONDS;
}

static void note_failure(struct outbox *outbox, const struct store_outbox_mail *mail,
                         const struct error *error)
{
    char text[641];
    error_text(error, text, sizeof(text));
    log_warning("mail %s (%s) is not with a scanner yet: %s", mail->id, mail->reason, text);
    store_outbox_failed(outbox->store, mail->id, text, pause_after(mail->attempts), NULL);
}

static void send_mail(struct outbox *outbox, const struct store_outbox_mail *mail)
{
    struct error error = {0};
    char scanner_id[37];
    if (!choose_scanner(outbox, mail, scanner_id, &error) ||
        !submit(outbox, mail, scanner_id, &error)) {
        note_failure(outbox, mail, &error);
        return;
    }
    /* Where this fails the mail comes again, and the scanner knows it. */
    if (store_outbox_sent(outbox->store, mail, scanner_id, &error))
        log_info("mail %s (%s) is with scanner %s", mail->id, mail->reason, scanner_id);
    else
        note_failure(outbox, mail, &error);
}

/* False where there was nothing to do. */
static bool send_some(struct outbox *outbox)
{
    struct store_outbox_mail *mails;
    size_t count;
    if (!store_outbox_take(outbox->store, TAKEN_AT_ONCE, &mails, &count, NULL))
        return false;
    for (size_t i = 0; i < count && !atomic_load(&outbox->stopping); i++) {
        /* Those before it may have taken long. */
        if (i == 0 || store_outbox_renew(outbox->store, mails[i].id, NULL))
            send_mail(outbox, &mails[i]);
    }
    store_outbox_list_free(mails, count);
    return count > 0;
}

static void rest(struct outbox *outbox, struct store_bell *bell, int milliseconds)
{
    int64_t end = timestamp_monotonic_ms() + milliseconds;
    while (!atomic_load(&outbox->stopping) && timestamp_monotonic_ms() < end)
        if (store_bell_wait(bell, WAIT_MS))
            return;
}

static void *sender_run(void *argument)
{
    struct outbox *outbox = argument;
    struct store_bell *bell = store_bell_open(outbox->store, STORE_OUTBOX_BELL);
    if (!bell)
        abort();
    while (!atomic_load(&outbox->stopping))
        if (!send_some(outbox))
            rest(outbox, bell, LOOK_MS);
    store_bell_close(bell);
    return NULL;
}

/* --- life --- */

struct outbox *outbox_start(struct store *store, struct fleet *fleet, struct error *error)
{
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    if (!outbox) {
        error_set(error, ERROR_INTERNAL, NULL, "out of memory");
        return NULL;
    }
    outbox->store = store;
    outbox->fleet = fleet;
    while (outbox->started < SENDERS &&
           pthread_create(&outbox->senders[outbox->started], NULL, sender_run, outbox) == 0)
        outbox->started++;
    if (outbox->started == SENDERS)
        return outbox;
    outbox_stop(outbox);
    error_set(error, ERROR_INTERNAL, NULL, "cannot start a thread");
    return NULL;
}

void outbox_stop(struct outbox *outbox)
{
    if (!outbox)
        return;
    atomic_store(&outbox->stopping, true);
    for (size_t i = 0; i < outbox->started; i++)
        pthread_join(outbox->senders[i], NULL);
    free(outbox);
}
