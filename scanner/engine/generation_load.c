#include "scanner/engine/generation_load.h"

#include "common/log.h"
#include "scanner/engine/malware.h"
#include "scanner/engine/scratch.h"
#include "scanner/engine/type.h"

#include <gmime/gmime.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP_MS 10000

/* Makes libraries read now what they would read at the first message of each kind: the OpenSSL
 * configuration, the time zone, converters. */
static const char warm_up_message[] =
    "Received: from localhost by localhost; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    "From: =?ISO-2022-JP?B?GyRCO25ISxsoQg==?= <warm-up@localhost>\r\n"
    "Subject: =?UTF-8?B?5pel5pys6Kqe?=\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n"
    "\r\n"
    "--b\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "\r\n"
    "<html><body><a href=\"http://localhost/\">warm-up</a></body></html>\r\n"
    "--b\r\n"
    "Content-Type: application/octet-stream; name=\"warm-up.bin\"\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "d2FybS11cCB3YXJtLXVwIHdhcm0tdXAgd2FybS11cA==\r\n"
    "--b--\r\n";

static void tell_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
    (void)full, (void)context;
    int length = (int)strcspn(text, "\r\n");
    if (severity >= CL_MSG_ERROR)
        log_warning("libclamav: %.*s", length, text);
    else
        log_debug("libclamav: %.*s", length, text);
}

static bool start_libraries(struct generation_load *load, struct error *error)
{
    cl_set_clcb_msg(tell_message);
    cl_error_t code = cl_init(CL_INIT_DEFAULT);
    if (code != CL_SUCCESS)
        return error_set(error, ERROR_INTERNAL, "libclamav", "cannot start: %s", cl_strerror(code));
    g_mime_init();
    setlocale(LC_CTYPE, "C.UTF-8"); /* names in archives are of every script */
    load->converters = charset_preload();
    if (!type_preload(error))
        return false;
    tzset();
    return setenv("RAYON_NUM_THREADS", "1", 1) == 0; /* of image decoding: one thread a worker */
}

static bool load_signatures(const struct generation_start *start, struct generation_load *load,
                            struct error *error)
{
    struct error local = {0};
    char text[700];
    load->engine = signatures_load(start->place, start->settings, &load->info, &local);
    if (!load->engine && start->first && (*start->place->custom || *start->place->further)) {
        struct signatures_place without = *start->place;
        without.custom[0] = without.further[0] = '\0';
        snprintf(load->problem, sizeof(load->problem), "custom signatures are left out: %s",
                 error_text(&local, text, sizeof(text)));
        load->engine = signatures_load(&without, start->settings, &load->info, &local);
    }
    return load->engine || error_set(error, local.code, local.where, "%s", local.message);
}

/* A generation that takes over from none serves without filters: what they would have been asked
 * about is then unscannable, and the malware policy says what becomes of it. */
static bool load_filters(const struct generation_start *start, struct generation_load *load,
                         struct error *error)
{
    struct error local = {0};
    char text[700];
    if (filters_load(&load->filters, start->settings->config, &local))
        return true;
    if (!start->first)
        return error_set(error, local.code, local.where, "%s", local.message);
    snprintf(load->problem, sizeof(load->problem), "content filters cannot be used: %s",
             error_text(&local, text, sizeof(text)));
    return true;
}

static bool warm_up(const struct generation_start *start, struct generation_load *load,
                    struct error *error)
{
    char folder[ENGINE_PATH_SIZE];
    struct malware_result result = {0};
    struct malware_scan scan = {load->engine, WARM_UP_MS, true};
    size_t length = sizeof(warm_up_message) - 1;
    if (!scratch_make(start->settings->state, getpid(), folder, error))
        return false;
    cl_engine_set_str(load->engine, CL_ENGINE_TMPDIR, folder);
    struct message *message = message_parse(warm_up_message, length);
    malware_scan(&scan, warm_up_message, length, &result);
    message_free(message);
    scratch_remove(start->settings->state, getpid());
    return !*result.reason ||
           error_set(error, ERROR_INTERNAL, "libclamav", "cannot scan: %s", result.reason);
}

bool generation_load(const struct generation_start *start, struct generation_load *load,
                     struct error *error)
{
    *load = (struct generation_load){0};
    return start_libraries(load, error) && load_signatures(start, load, error) &&
           load_filters(start, load, error) && warm_up(start, load, error);
}
