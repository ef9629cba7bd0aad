/* What the files of the view share:
 *   view.c        the message and its header fields
 *   view_nodes.c  the nodes and what they are
 *   view_text.c   their texts and the language */
#ifndef GATEHOUSE_SCANNER_ENGINE_VIEW_PRIVATE_H
#define GATEHOUSE_SCANNER_ENGINE_VIEW_PRIVATE_H

#include "scanner/engine/view.h"

/* Sets view->message.language too. */
void view_add_texts(const struct view_order *order, struct view *view);

#endif
