/* What came in, by phase. */
#include "scanner/mta/smtp_session_private.h"

#include <openssl/crypto.h>
#include <string.h>

#define SKIP_LIMIT (64u << 10) /* bytes of one line that is too long, before the session ends */

static void use(struct smtp_session *session, size_t length)
{
    session->input_at += length;
    session->line_scanned = 0;
}

/* There is no end of the line yet. Keeps its last byte, which may be the CR before the LF. */
static void wait_for_end(struct smtp_session *session)
{
    size_t length = smtp_session_waiting(session);
    session->line_scanned = length;
    if (!session->skipping && length <= SMTP_COMMAND_LIMIT + 1)
        return;
    session->skipping = true;
    session->skipped += length - 1;
    use(session, length - 1);
    if (session->skipped > SKIP_LIMIT)
        smtp_session_end(session, "500 5.5.2 line too long");
}

/* A command inside another one's text, with a CR or LF of its own, is how mail is smuggled through
 * a server that passes text on; NUL and other controls have no use in commands at all. */
static bool is_printable(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
            return false;
    return true;
}

static void take_response(struct smtp_session *session, char *line, size_t length)
{
    session->had_secrets = true;
    smtp_session_auth_response(session, line && is_printable(line, length) ? line : NULL);
    if (line)
        OPENSSL_cleanse(line, length);
}

static void take_line(struct smtp_session *session, char *line, size_t length)
{
    bool too_long = session->skipping || length > SMTP_COMMAND_LIMIT;
    session->skipping = false;
    session->skipped = 0;
    line[length] = '\0';
    smtp_session_progress(session);
    if (session->phase == SMTP_PHASE_RESPONSE)
        take_response(session, too_long ? NULL : line, length);
    else if (too_long)
        smtp_session_reply(session, "500 5.5.2 line too long");
    else if (!is_printable(line, length))
        smtp_session_reply(session, "500 5.5.2 the command has control characters");
    else
        smtp_session_command(session, line);
}

/* False where no whole line is there. */
static bool next_line(struct smtp_session *session)
{
    char *line = session->input.data + session->input_at;
    size_t waiting = smtp_session_waiting(session);
    char *end = waiting
                    ? memchr(line + session->line_scanned, '\n', waiting - session->line_scanned)
                    : NULL;
    if (!end) {
        if (waiting)
            wait_for_end(session);
        return false;
    }
    use(session, (size_t)(end + 1 - line));
    if (end == line || end[-1] != '\r')
        smtp_session_end(session, "500 5.5.2 the line ends in a line feed alone");
    else
        take_line(session, line, (size_t)(end - 1 - line));
    return true;
}

bool smtp_session_process(struct smtp_session *session)
{
    while (!session->closing) {
        if (session->output.length - session->output_at > SMTP_OUTPUT_PAUSE)
            return true;
        if (session->phase == SMTP_PHASE_COMMAND || session->phase == SMTP_PHASE_RESPONSE) {
            if (!next_line(session))
                return false;
        } else if ((session->phase == SMTP_PHASE_DATA || session->phase == SMTP_PHASE_CHUNK) &&
                   smtp_session_waiting(session) > 0) {
            smtp_session_receive(session);
        } else {
            return false;
        }
    }
    return false;
}
