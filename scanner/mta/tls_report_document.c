#include "scanner/mta/tls_report_private.h"

#include "common/json.h"
#include "common/timestamp.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define GZIP_LIMIT (10u << 20)
#define LINE_BYTES 57 /* 76 characters of base64 */
#define GZIP_WINDOW (15 + 16)

/* Of a time, without the fraction, as the examples of RFC 8460 have it. */
static const char *seconds_text(int64_t time, char text[TIMESTAMP_TEXT_SIZE])
{
    timestamp_text(time, text);
    snprintf(text + 19, TIMESTAMP_TEXT_SIZE - 19, "Z");
    return text;
}

static char *write_json(const struct tls_report_document *document)
{
    const struct config_tls_reports *reports = &document->config->delivery.tls_reports;
    char begin[TIMESTAMP_TEXT_SIZE], end[TIMESTAMP_TEXT_SIZE], id[MESSAGE_ID_TEXT_SIZE];
    json_t *object = json_pack(
        "{s:s,s:{s:s,s:s},s:s,s:s,s:O}", "organization-name", reports->organization, "date-range",
        "start-datetime", seconds_text(document->begin, begin), "end-datetime",
        seconds_text(document->end, end), "contact-info", reports->contact, "report-id",
        message_id_text(&document->id, id), "policies", document->policies);
    char *text = object ? json_text(object) : NULL;
    json_decref(object);
    return text;
}

static bool compress_text(char *text, struct buffer *out)
{
    z_stream stream = {0};
    uLong length = (uLong)strlen(text);
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return false;
    uLong most = deflateBound(&stream, length);
    char *to = most <= GZIP_LIMIT ? buffer_reserve(out, most) : NULL;
    stream.next_in = (Bytef *)text;
    stream.avail_in = (uInt)length;
    stream.next_out = (Bytef *)to;
    stream.avail_out = (uInt)most;
    bool good = to && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    if (good)
        out->length += stream.total_out;
    deflateEnd(&stream);
    return good;
}

bool tls_report_write(const struct tls_report_document *document, struct buffer *gzip)
{
    char *text = write_json(document);
    bool good = text && compress_text(text, gzip);
    free(text);
    return good;
}

/* --- the message --- */

static void add_base64(const struct buffer *data, struct buffer *out)
{
    unsigned char line[LINE_BYTES * 2];
    for (size_t at = 0; at < data->length; at += LINE_BYTES) {
        size_t length = data->length - at < LINE_BYTES ? data->length - at : LINE_BYTES;
        int size = EVP_EncodeBlock(line, (const unsigned char *)data->data + at, (int)length);
        buffer_add(out, line, (size_t)size);
        buffer_add_text(out, "\r\n");
    }
}

static void add_header(const struct tls_report_document *document, const char *to,
                       const char *boundary, struct buffer *out)
{
    const char *host = document->config->host_name;
    char id[MESSAGE_ID_TEXT_SIZE], date[TIMESTAMP_TEXT_SIZE];
    message_id_text(&document->id, id);
    buffer_add_format(out, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\n",
                      document->config->delivery.tls_reports.from, to,
                      timestamp_rfc5322(timestamp_now_ms(), date));
    buffer_add_format(out,
                      "Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s@%s>\r\n",
                      document->domain, host, id, host);
    buffer_add_format(out, "Message-ID: <%s@%s>\r\n", id, host);
    buffer_add_format(out, "TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n",
                      document->domain, host);
    buffer_add_text(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    buffer_add_format(out,
                      "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
                      " boundary=\"%s\"\r\n\r\n",
                      boundary);
}

static void add_text_part(const struct tls_report_document *document, const char *boundary,
                          struct buffer *out)
{
    char begin[TIMESTAMP_TEXT_SIZE], end[TIMESTAMP_TEXT_SIZE];
    buffer_add_format(out,
                      "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n"
                      "Content-Transfer-Encoding: 7bit\r\n\r\n"
                      "This is a report on the TLS of connections from %s\r\n"
                      "to the mail servers of %s,\r\nfrom %s to %s.\r\n\r\n",
                      boundary, document->config->host_name, document->domain,
                      seconds_text(document->begin, begin), seconds_text(document->end, end));
}

static void add_report_part(const struct tls_report_document *document, const char *boundary,
                            const struct buffer *gzip, struct buffer *out)
{
    char id[MESSAGE_ID_TEXT_SIZE];
    buffer_add_format(out,
                      "--%s\r\nContent-Type: application/tlsrpt+gzip\r\n"
                      "Content-Transfer-Encoding: base64\r\n"
                      "Content-Disposition: attachment;\r\n"
                      " filename=\"%s!%s!%lld!%lld!%s.json.gz\"\r\n\r\n",
                      boundary, document->config->host_name, document->domain,
                      (long long)(document->begin / 1000), (long long)(document->end / 1000),
                      message_id_text(&document->id, id));
    add_base64(gzip, out);
    buffer_add_format(out, "\r\n--%s--\r\n", boundary);
}

bool tls_report_write_mail(const struct tls_report_document *document, const char *to,
                           const struct buffer *gzip, struct buffer *out)
{
    char boundary[64], id[MESSAGE_ID_TEXT_SIZE];
    snprintf(boundary, sizeof(boundary), "=_%s", message_id_text(&document->id, id));
    add_header(document, to, boundary, out);
    add_text_part(document, boundary, out);
    add_report_part(document, boundary, gzip, out);
    return !out->failed;
}
