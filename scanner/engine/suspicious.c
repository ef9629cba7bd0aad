#include "scanner/engine/suspicious.h"

#include <glib.h>
#include <string.h>

/* Run by a double click, by what Windows makes of their extension. */
static const char *const program_extensions[] = {"exe", "com", "scr", "pif", "cpl", "dll", "msi",
                                                 "msp", "ocx", "sys", "bat", "cmd", NULL};
static const char *const script_extensions[] = {"js",  "jse", "vbs", "vbe", "wsf", "wsh",
                                                "hta", "ps1", "lnk", "scf", "pif", "scr",
                                                "cpl", "jar", "reg", NULL};
/* What people open without a thought. */
static const char *const harmless_extensions[] = {
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt",  "ods", "rtf", "txt",
    "csv", "jpg", "jpeg", "png", "gif",  "bmp", "tif",  "tiff", "svg", "mp3", "mp4",
    "avi", "mov", "html", "htm", "xml",  "zip", "eml",  "msg",  NULL};
static const char *const program_types[] = {"application/vnd.microsoft.portable-executable",
                                            "application/x-executable",
                                            "application/x-dosexec",
                                            "application/x-sharedlib",
                                            "application/x-pie-executable",
                                            "application/x-mach-binary",
                                            NULL};

static bool is_among(const char *const *list, const char *text, size_t length)
{
    for (size_t i = 0; list[i]; i++)
        if (strlen(list[i]) == length && g_ascii_strncasecmp(list[i], text, length) == 0)
            return true;
    return false;
}

struct extension {
    const char *text;
    size_t length;
};

/* What stands behind the last dot before `end`, blanks around it aside; empty where there is none.
 */
static struct extension extension_before(const char *name, const char *end)
{
    while (end > name && (end[-1] == ' ' || end[-1] == '.'))
        end--;
    const char *dot = end;
    while (dot > name && dot[-1] != '.' && dot[-1] != '/')
        dot--;
    if (dot == name || dot[-1] != '.')
        return (struct extension){end, 0};
    return (struct extension){dot, (size_t)(end - dot)};
}

static bool is_of(struct extension extension, const char *const *list)
{
    return is_among(list, extension.text, extension.length);
}

/* NULL where the node is not suspicious. */
static const char *suspicion(const struct tree_node *node)
{
    if (node->hidden_name)
        return "Suspicious.HiddenExtension";
    if (!node->name)
        return NULL;
    struct extension last = extension_before(node->name, node->name + strlen(node->name));
    bool runs = is_of(last, program_extensions) || is_of(last, script_extensions);
    struct extension before = last.length ? extension_before(node->name, last.text - 1)
                                          : (struct extension){node->name, 0};
    if (runs && is_of(before, harmless_extensions))
        return "Suspicious.DoubleExtension";
    if (!runs && is_of(last, harmless_extensions) &&
        is_among(program_types, node->type, strlen(node->type)))
        return "Suspicious.DisguisedProgram";
    return is_of(last, script_extensions) ? "Suspicious.Script" : NULL;
}

static const char *encryption(const struct tree_node *node)
{
    if (!node->encrypted || node->kind == TREE_MULTIPART)
        return NULL;
    return strcmp(node->type, "application/x-ole-storage") == 0 ? "Encrypted.Document"
                                                                : "Encrypted.Archive";
}

void suspicious_look_at(const struct tree *tree, size_t index, struct malware_result *result)
{
    const struct tree_node *node = &tree->nodes[index];
    char path[TREE_PATH_SIZE];
    bool in_told_archive = node->kind == TREE_MEMBER && tree->nodes[node->parent].encrypted;
    const char *why = suspicion(node), *locked = in_told_archive ? NULL : encryption(node);
    if (why)
        malware_add_find(result, why, tree_path(tree, index, path));
    if (locked)
        malware_add_find(result, locked, tree_path(tree, index, path));
}

void suspicious_look(const struct tree *tree, struct malware_result *result)
{
    for (size_t i = 0; i < tree->count; i++)
        suspicious_look_at(tree, i, result);
}
