-- The next moment at which an alias ends is asked for with every change of the store.

CREATE INDEX alias_expires ON alias (expires) WHERE expires IS NOT NULL;
