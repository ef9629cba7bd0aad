#include "scanner/engine/signatures.h"

#include "common/file.h"
#include "common/timestamp.h"
#include "scanner/engine/malware.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- database files in a folder --- */

static const char *const finding[] = {
    ".cvd", ".cld", ".cud", ".hdb", ".hsb", ".hdu", ".hsu",  ".mdb", ".msb", ".mdu", ".msu", ".ndb",
    ".ndu", ".ldb", ".ldu", ".cdb", ".cbc", ".yar", ".yara", ".pdb", ".gdb", ".wdb", ".idb", ".db"};
/* These forbid or describe, and find nothing by themselves. */
static const char *const assisting[] = {".fp",  ".sfp", ".ftm",  ".ign", ".ign2",
                                        ".crb", ".cfg", ".pwdb", ".info"};

struct file_visit {
    void (*take)(const char *path, const struct stat *status, bool finds, void *context);
    void *context;
};

static bool has_extension(const char *name, const char *const *extensions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_has_suffix(name, extensions[i]))
            return true;
    return false;
}

static bool is_database(const char *name, bool *finds)
{
    *finds = has_extension(name, finding, G_N_ELEMENTS(finding));
    return *finds || has_extension(name, assisting, G_N_ELEMENTS(assisting));
}

static void visit_folder(const char *folder, const struct file_visit *visit)
{
    DIR *open_folder = opendir(folder);
    const struct dirent *entry;
    if (!open_folder)
        return;
    while ((entry = readdir(open_folder))) {
        char path[ENGINE_PATH_SIZE];
        struct stat status;
        bool finds;
        if (is_database(entry->d_name, &finds) &&
            file_join(path, sizeof(path), folder, entry->d_name, NULL) &&
            stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
            visit->take(path, &status, finds, visit->context);
    }
    closedir(open_folder);
}

static void note_presence(const char *path, const struct stat *status, bool finds, void *context)
{
    (void)path, (void)status;
    *(bool *)context |= finds;
}

static bool holds_database(const char *folder)
{
    bool present = false;
    struct file_visit visit = {note_presence, &present};
    visit_folder(folder, &visit);
    return present;
}

/* FNV-1a; each file is mixed by itself and the results are added, as the order of a folder may
 * vary. */
static uint64_t mix(uint64_t hash, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return hash;
}

static void add_file(const char *path, const struct stat *status, bool finds, void *context)
{
    uint64_t values[] = {(uint64_t)status->st_ino, (uint64_t)status->st_size,
                         (uint64_t)status->st_mtim.tv_sec, (uint64_t)status->st_mtim.tv_nsec};
    uint64_t hash = mix(14695981039346656037u, path, strlen(path));
    (void)finds;
    *(uint64_t *)context += mix(hash, values, sizeof(values));
}

uint64_t signatures_fingerprint(const struct signatures_place *place)
{
    uint64_t sum = mix(14695981039346656037u, place->folder, strlen(place->folder));
    struct file_visit visit = {add_file, &sum};
    visit_folder(place->folder, &visit);
    if (*place->further)
        visit_folder(place->further, &visit);
    if (*place->custom)
        visit_folder(place->custom, &visit);
    return sum;
}

/* --- the place --- */

static void note_official(const char *path, const struct stat *status, bool finds, void *context)
{
    (void)status, (void)finds;
    *(bool *)context |= g_str_has_suffix(path, ".cvd") || g_str_has_suffix(path, ".cld");
}

static bool holds_official(const char *folder)
{
    bool present = false;
    struct file_visit visit = {note_official, &present};
    visit_folder(folder, &visit);
    return present;
}

static const char *system_folder(void)
{
    const char *folder = getenv("GATEHOUSE_SIGNATURES");
    return folder && *folder ? folder : SIGNATURES_DEFAULT_FOLDER;
}

bool signatures_choose(const char *state, struct signatures_place *place, struct error *error)
{
    char fetched[ENGINE_PATH_SIZE];
    *place = (struct signatures_place){0};
    if (!file_join(fetched, sizeof(fetched), state, "signatures/clamav", error))
        return false;
    const char *folder = holds_official(fetched) ? fetched : system_folder();
    place->builtin = !holds_database(folder);
    if (folder != fetched && holds_database(fetched))
        memcpy(place->further, fetched, sizeof(fetched));
    if (!file_join(place->custom, sizeof(place->custom), state, "signatures/custom", error))
        return false;
    if (!holds_database(place->custom))
        place->custom[0] = '\0';
    if (place->builtin)
        return file_join(place->folder, sizeof(place->folder), state, "signatures/builtin", error);
    if (strlen(folder) >= sizeof(place->folder))
        return error_set(error, ERROR_LIMIT, "GATEHOUSE_SIGNATURES", "the path is too long");
    memcpy(place->folder, folder, strlen(folder) + 1);
    return true;
}

/* --- version and age --- */

struct newest {
    int64_t version, built_at_ms;
    bool from_head;
};

static void note_age(const char *path, const struct stat *status, bool finds, void *context)
{
    struct newest *newest = context;
    struct cl_cvd *head = NULL;
    if (g_str_has_suffix(path, ".cvd") || g_str_has_suffix(path, ".cld") ||
        g_str_has_suffix(path, ".cud"))
        head = cl_cvdhead(path);
    int64_t time_ms = head ? (int64_t)head->stime * 1000 : (int64_t)status->st_mtim.tv_sec * 1000;
    bool better = (bool)head == newest->from_head ? time_ms > newest->built_at_ms : (bool)head;
    if (finds && better) {
        newest->version = head ? head->version : 0;
        newest->built_at_ms = time_ms;
        newest->from_head = head != NULL;
    }
    if (head)
        cl_cvdfree(head);
}

#define BUILTIN_VERSION 1

static void describe(const struct signatures_place *place, unsigned count,
                     struct signatures_info *info)
{
    struct newest newest = {0};
    struct file_visit visit = {note_age, &newest};
    visit_folder(place->folder, &visit);
    if (*place->further)
        visit_folder(place->further, &visit);
    *info = (struct signatures_info){
        .version = place->builtin ? BUILTIN_VERSION : newest.version,
        .count = count,
        .built_at_ms = newest.built_at_ms,
        .fingerprint = signatures_fingerprint(place),
    };
    g_strlcpy(info->source, place->builtin ? "builtin" : "clamav", sizeof(info->source));
}

json_t *signatures_json(const struct signatures_info *info)
{
    char built_at[TIMESTAMP_TEXT_SIZE], fingerprint[20];
    g_snprintf(fingerprint, sizeof(fingerprint), "%016" G_GINT64_MODIFIER "x", info->fingerprint);
    return json_pack("{s:s,s:I,s:I,s:s,s:s}", "source", info->source, "version",
                     (json_int_t)info->version, "count", (json_int_t)info->count, "built_at",
                     timestamp_text(info->built_at_ms, built_at), "fingerprint", fingerprint);
}

/* --- loading --- */

/* Without the lists of names that are phished for, which only libclamav's databases have, looking
 * for links in a text costs much and finds nothing. */
#define BUILTIN_OPTIONS (CL_DB_STDOPT & ~(unsigned)CL_DB_PHISHING_URLS)

static bool load_folder(struct cl_engine *engine, const char *folder, unsigned options,
                        unsigned *count, struct error *error)
{
    cl_error_t code = cl_load(folder, engine, count, options);
    return code == CL_SUCCESS ||
           error_set(error, ERROR_INVALID, folder, "the signatures cannot be loaded: %s",
                     cl_strerror(code));
}

static bool fill_engine(struct cl_engine *engine, const struct signatures_place *place,
                        const struct engine_settings *settings, unsigned *count,
                        struct error *error)
{
    unsigned options = place->builtin ? BUILTIN_OPTIONS : CL_DB_STDOPT;
    if (!malware_prepare(engine, settings->message_limit, error) ||
        !load_folder(engine, place->folder, options, count, error) ||
        (*place->further && !load_folder(engine, place->further, CL_DB_STDOPT, count, error)) ||
        (*place->custom && !load_folder(engine, place->custom, CL_DB_STDOPT, count, error)))
        return false;
    if (*count == 0)
        return error_set(error, ERROR_NOT_FOUND, place->folder, "there is no signature");
    cl_error_t code = cl_engine_compile(engine);
    return code == CL_SUCCESS ||
           error_set(error, ERROR_INVALID, place->folder, "the signatures cannot be compiled: %s",
                     cl_strerror(code));
}

struct cl_engine *signatures_load(const struct signatures_place *place,
                                  const struct engine_settings *settings,
                                  struct signatures_info *info, struct error *error)
{
    unsigned count = 0;
    struct cl_engine *engine = cl_engine_new();
    if (!engine) {
        error_set(error, ERROR_INTERNAL, "libclamav", "out of memory");
        return NULL;
    }
    if (!fill_engine(engine, place, settings, &count, error)) {
        cl_engine_free(engine);
        return NULL;
    }
    describe(place, count, info);
    return engine;
}

/* --- the builtin database --- */

/* In pieces, so that no scanner takes this file, or the program, for the test file. */
static const char *const eicar_pieces[] = {"X5O!P%@AP[4\\PZX54(P^)", "7CC)7}$EICAR-",
                                           "STANDARD-ANTI", "VIRUS-TEST-FILE!", "$H+H*"};

static bool write_where_changed(const char *folder, const char *name, const char *text,
                                struct error *error)
{
    char path[ENGINE_PATH_SIZE];
    if (!file_join(path, sizeof(path), folder, name, error))
        return false;
    g_autofree char *present = file_read(path, 4096, NULL, NULL);
    return (present && strcmp(present, text) == 0) ||
           file_write_atomic(path, text, strlen(text), 0644, error);
}

bool signatures_write_builtin(const char *state, struct error *error)
{
    char folder[ENGINE_PATH_SIZE];
    g_autoptr(GString) eicar = g_string_new(NULL);
    g_autoptr(GString) body = g_string_new("Eicar-Test-Signature:0:*:");
    if (!file_join(folder, sizeof(folder), state, "signatures/builtin", error) ||
        !file_make_folder(folder, 0755, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(eicar_pieces); i++)
        g_string_append(eicar, eicar_pieces[i]);
    for (size_t i = 0; i < eicar->len; i++)
        g_string_append_printf(body, "%02x", (unsigned char)eicar->str[i]);
    g_string_append_c(body, '\n');
    g_autofree char *digest =
        g_compute_checksum_for_data(G_CHECKSUM_MD5, (const guchar *)eicar->str, eicar->len);
    g_autofree char *hash = g_strdup_printf("%s:%zu:Eicar-Test-Signature\n", digest, eicar->len);
    return write_where_changed(folder, "gatehouse.ndb", body->str, error) &&
           write_where_changed(folder, "gatehouse.hdb", hash, error);
}
