/* A session that waits for somebody else: the directory, or a moment to go by. */
#include "scanner/mta/smtp_session_private.h"

void smtp_session_ask(struct smtp_session *session, const char *name, const char *password,
                      directory_callback on_answer)
{
    struct directory_client *directory = session->options.mta->directory;
    session->phase = SMTP_PHASE_DIRECTORY;
    session->on_answer = on_answer;
    smtp_session_progress(session);
    session->question = password
                            ? directory_ask_password(directory, name, password, on_answer, session)
                            : directory_ask_recipient(directory, name, on_answer, session);
}

void smtp_session_answered(struct smtp_session *session)
{
    session->question = NULL;
    session->phase = SMTP_PHASE_COMMAND;
    smtp_session_progress(session);
}

void smtp_session_pause(struct smtp_session *session, int64_t milliseconds,
                        void (*then)(struct smtp_session *session))
{
    session->phase = SMTP_PHASE_PAUSE;
    session->resume = then;
    smtp_session_set_timer(session, milliseconds);
}

bool smtp_session_is_awaiting(const struct smtp_session *session)
{
    return session->phase == SMTP_PHASE_DIRECTORY || session->phase == SMTP_PHASE_PAUSE;
}

void smtp_session_stop_awaiting(struct smtp_session *session)
{
    if (session->question)
        directory_forget(session->question);
    session->question = NULL;
    if (smtp_session_is_awaiting(session))
        session->phase = SMTP_PHASE_COMMAND;
}

static void directory_timed_out(struct smtp_session *session)
{
    static const struct directory_answer answer = {.status = DIRECTORY_UNAVAILABLE};
    directory_forget(session->question);
    session->on_answer(session, &answer);
}

bool smtp_session_resume(struct smtp_session *session, int64_t left)
{
    if (session->phase == SMTP_PHASE_PAUSE) {
        session->phase = SMTP_PHASE_COMMAND;
        smtp_session_progress(session);
        smtp_session_set_timer(session, (int64_t)session->limits->idle_seconds * 1000);
        session->resume(session);
        smtp_session_settle(session);
        return true;
    }
    if (session->phase != SMTP_PHASE_DIRECTORY || left > 0)
        return false;
    smtp_session_set_timer(session, (int64_t)session->limits->idle_seconds * 1000);
    directory_timed_out(session);
    return true;
}
