/* The double of the directory process in the scene of the SMTP server. */
#ifndef GATEHOUSE_TESTS_SMTP_SCENE_DIRECTORY_H
#define GATEHOUSE_TESTS_SMTP_SCENE_DIRECTORY_H

#include "scanner/mta/directory_client.h"

/* From now on it knows nobody, is there, and answers at once. */
void scene_directory_begin(struct event_base *base);
void scene_directory_end(void);
/* One line of a conversation: "known ADDRESS [address=ADDRESS] [route=ROUTE]", "user NAME PASSWORD
 * [NAME-IN-THE-DIRECTORY]", "away", "not asked", "(hold)", "(answer)", or "(asked N)", which is
 * false where another number of questions came. False too for a line that means nothing. */
bool scene_directory_line(const char *line);
/* Questions that are not answered. */
unsigned scene_directory_waiting(void);

#endif
