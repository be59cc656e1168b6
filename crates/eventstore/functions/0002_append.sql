-- Appends in one round trip what takes four otherwise: the lock under which positions are handed out, the events of
-- streams at the versions that they are expected at, and what is written with them. Gives the last position that was
-- there: where it is not the expected one nothing was written, for what is written may hold positions.
--
-- Each of `writes` is a statement, its parameters, which it has as one array of texts, and how many rows it must touch,
-- if that matters. Where events or rows are missing nothing is written, and the caller finds out why step by step: NULL,
-- or an error that undoes what was written of other streams.
CREATE FUNCTION append_events (lock_key BIGINT, expected_head BIGINT, given JSONB, writes JSONB) RETURNS BIGINT
LANGUAGE plpgsql AS $$
DECLARE
    head BIGINT;
    touched BIGINT;
    one JSONB;
BEGIN
    PERFORM pg_advisory_xact_lock(lock_key);
    -- A statement of its own, so that it sees what the last holder of the lock has committed.
    SELECT COALESCE(MAX(position), 0) INTO head FROM events;
    IF head <> expected_head THEN
        RETURN head;
    END IF;
    INSERT INTO events (position, id, stream, version, type, schema_version, data, metadata, recorded_at)
    SELECT expected_head + 1 + CAST(k.value ->> 0 AS BIGINT), k.value ->> 1, k.value ->> 2,
        CAST(k.value ->> 3 AS BIGINT), k.value ->> 4, CAST(k.value ->> 5 AS BIGINT), k.value ->> 6,
        k.value ->> 7, k.value ->> 8
    FROM jsonb_array_elements(given) AS k (value)
    WHERE COALESCE((SELECT MAX(version) FROM events WHERE stream = (k.value ->> 2)), 0)
        = CAST(k.value ->> 9 AS BIGINT)
        AND (SELECT 1 FROM events WHERE id = (k.value ->> 12)) IS NULL
        AND (SELECT 1 FROM inbox WHERE consumer = (k.value ->> 10) AND message_id = (k.value ->> 11)) IS NULL;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched = 0 THEN
        RETURN NULL;
    ELSIF touched <> jsonb_array_length(given) THEN
        RAISE EXCEPTION 'an append does not fit the log' USING ERRCODE = 'PTC01';
    END IF;
    FOR one IN SELECT value FROM jsonb_array_elements(writes) LOOP
        EXECUTE one ->> 0 USING ARRAY(SELECT jsonb_array_elements_text(one -> 1));
        GET DIAGNOSTICS touched = ROW_COUNT;
        IF touched <> CAST(one ->> 2 AS BIGINT) THEN
            RAISE EXCEPTION 'a write touched % rows', touched USING ERRCODE = 'PTC01';
        END IF;
    END LOOP;
    RETURN head;
END $$;
