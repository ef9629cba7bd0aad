/* What the files about incidents share of SQL. */
#ifndef GATEHOUSE_CONTROLCENTER_STORE_INCIDENTS_ROWS_H
#define GATEHOUSE_CONTROLCENTER_STORE_INCIDENTS_ROWS_H

#include "controlcenter/store/incidents.h"
#include "controlcenter/store/store_internal.h"

/* One row, of a table or a query named i. */
#define INCIDENT_COLUMNS                                                                           \
    "SELECT i.number, i.handover_id, i.message_id, i.scanner_id, i.folder, f.name, i.quarantine,"  \
    " to_ms(i.received_at), i.direction, i.verdict, i.host, i.state, i.sender, i.subject,"         \
    " i.header_from, i.recipients_text, i.filters_text, i.action, to_ms(i.decided_at),"            \
    " i.decided_by, i.assigned_to, i.size, i.recipients, i.filters"
#define INCIDENT_COLUMN_COUNT 24
#define INCIDENT_FROM " FROM "
#define INCIDENT_JOINS " LEFT JOIN incident_folder f ON f.folder = i.folder"

/* The condition that a row's folder is none of a parameter's, a JSON array or NULL. The array is
 * taken apart once, not for each row. */
#define INCIDENT_NOT_HIDDEN(folder, parameter)                                                     \
    " (" parameter "::jsonb IS NULL OR " folder                                                    \
    " <> ALL (ARRAY(SELECT jsonb_array_elements_text(" parameter "::jsonb))))"

/* False without memory; the incident may be cleared all the same. */
bool store_incident_row(const PGresult *result, int row, struct store_incident *to);

/* A line of the history, within a transaction; ERROR_NOT_FOUND: no such incident. */
bool store_incident_line_add(PGconn *connection, int64_t number, const char *who, const char *what,
                             const char *detail, const char *comment, struct error *error);
bool store_incident_check_comment(const char *comment, struct error *error);

#endif
