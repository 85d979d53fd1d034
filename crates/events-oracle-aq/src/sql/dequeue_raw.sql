/* events.aq.dequeue_raw */
-- An empty queue is no error of the block: one that is raised makes the client forget the statement.
DECLARE
  no_message EXCEPTION;
  PRAGMA EXCEPTION_INIT(no_message, -25228);
  v_opts  DBMS_AQ.DEQUEUE_OPTIONS_T;
  v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
  v_body  RAW(32767);
  v_msgid RAW(16);
BEGIN
  v_opts.dequeue_mode  := DBMS_AQ.REMOVE;
  v_opts.navigation    := DBMS_AQ.FIRST_MESSAGE;
  v_opts.visibility    := :visibility;
  v_opts.wait          := :wait_seconds;
  v_opts.deq_condition := :deq_condition;
  v_opts.consumer_name := :consumer_name;
  :found := 0;
  BEGIN
    DBMS_AQ.DEQUEUE(
      queue_name         => :queue_name,
      dequeue_options    => v_opts,
      message_properties => v_props,
      payload            => v_body,
      msgid              => v_msgid);
    :found    := 1;
    :payload  := v_body;
    :msgid    := v_msgid;
    :attempts := v_props.attempts;
    :priority := v_props.priority;
  EXCEPTION
    WHEN no_message THEN NULL;
  END;
END;
