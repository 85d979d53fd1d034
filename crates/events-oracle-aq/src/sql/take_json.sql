/* events.aq.take_json */
-- Takes a message out by its id, if it is there and no other session holds it.
DECLARE
  no_message EXCEPTION;
  PRAGMA EXCEPTION_INIT(no_message, -25228);
  no_such_message EXCEPTION;
  PRAGMA EXCEPTION_INIT(no_such_message, -25263);
  v_opts  DBMS_AQ.DEQUEUE_OPTIONS_T;
  v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
  v_doc   JSON;
  v_msgid RAW(16);
BEGIN
  v_opts.dequeue_mode  := DBMS_AQ.REMOVE;
  v_opts.navigation    := DBMS_AQ.FIRST_MESSAGE;
  v_opts.visibility    := DBMS_AQ.ON_COMMIT;
  v_opts.wait          := DBMS_AQ.NO_WAIT;
  v_opts.msgid         := :wanted;
  v_opts.consumer_name := :consumer_name;
  :found := 0;
  BEGIN
    DBMS_AQ.DEQUEUE(
      queue_name         => :queue_name,
      dequeue_options    => v_opts,
      message_properties => v_props,
      payload            => v_doc,
      msgid              => v_msgid);
    :found := 1;
  EXCEPTION
    WHEN no_message OR no_such_message THEN NULL;
  END;
END;
