/* events.aq.enqueue_json */
DECLARE
  v_opts  DBMS_AQ.ENQUEUE_OPTIONS_T;
  v_props DBMS_AQ.MESSAGE_PROPERTIES_T;
  v_doc   JSON;
  v_msgid RAW(16);
BEGIN
  v_doc := JSON(:payload);
  v_opts.visibility   := :visibility;
  v_props.correlation := :correlation;
  v_props.priority    := :priority;
  v_props.delay       := :delay_seconds;
  v_props.expiration  := :expiration_seconds;
  DBMS_AQ.ENQUEUE(
    queue_name         => :queue_name,
    enqueue_options    => v_opts,
    message_properties => v_props,
    payload            => v_doc,
    msgid              => v_msgid);
END;
