#include "scanner/agent/status.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/ipc.h"
#include "scanner/agent/node.h"

#define ANSWER_MS 2000

static json_t *ask(const char *state, const char *socket)
{
    char path[NODE_PATH_SIZE];
    cleanup_json json_t *request = json_pack("{s:s}", "op", "status");
    json_t *reply = NULL;
    if (request && file_join(path, sizeof(path), state, socket, NULL))
        reply = ipc_request(path, request, ANSWER_MS, NULL);
    if (!reply)
        return json_string("unknown");
    json_object_del(reply, "ok");
    return reply;
}

json_t *status_gather(const char *state)
{
    return json_pack("{s:o,s:o,s:o,s:o}", "mta", ask(state, NODE_MTA_SOCKET), "engine",
                     ask(state, NODE_ENGINE_SOCKET), "directory",
                     ask(state, NODE_DIRECTORY_SOCKET), "supervisor",
                     ask(state, NODE_SUPERVISOR_SOCKET));
}
